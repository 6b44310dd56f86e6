"""The page of honest statistics: what all verdicts together can bear, and what they cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from neuropil.atlas.catalogue import TIERS
from neuropil.atlas.index import VERDICTS
from neuropil.atlas.pages.beside import forest
from neuropil.atlas.pages.canvas import Canvas, Scale, axis
from neuropil.atlas.pages.drawing import NARROW, WIDE
from neuropil.atlas.pages.site.gathering import BADGES, Atlas, Paper
from neuropil.atlas.pages.site.index_page import FIDELITY
from neuropil.atlas.pages.tables import grid, percent
from neuropil.atlas.pages.templates import environment, style
from neuropil.atlas.pages.wording import Shown, probability, text_of

ALPHA = 0.05
FAILED = {
    "dose": "the mechanism hardly acted",
    "gate": "the assay could not show the effect",
    "lesion": "the benefit survives without the mechanism",
    "matched": "what should be equal was not",
    "power": "with as many seeds as we allow, under 80 % to see the smallest difference that matters",
    "the text gives no recoverable equations": "",
}
"""What a verdict is withheld for, in words."""


def statistics_page(atlas: Atlas, site: Mapping[str, Any]) -> str:
    """Write the page."""
    studied = sorted(atlas.studied, key=lambda paper: (VERDICTS.index(paper.word), paper.row.slug))
    badges = [paper for paper in studied if paper.word in BADGES]
    minutes = sorted(paper.record["core_minutes"] for paper in studied)
    return (
        environment()
        .get_template("statistics.html.j2")
        .render(
            css=style(),
            site=site,
            total=len(atlas.papers),
            studied=len(studied),
            badges=len(badges),
            bound=f"{ALPHA * len(badges):.2g}",
            claiming=sum(paper.word in ("supported", "reversed") for paper in studied),
            sought=sum(paper.record["q"] is not None for paper in studied),
            highest=max(
                (paper.record["q"] for paper in studied if paper.word in ("supported", "reversed") and paper.record["q"] is not None),
                default=None,
            ),
            probability=probability,
            by_fidelity=_by_fidelity(studied),
            by_tier=_by_tier(atlas),
            forests={name: _forest(studied, width, name) for name, width in (("wide", WIDE), ("narrow", NARROW))},
            everything=_everything(studied),
            looks=sum(paper.record["looks"] for paper in studied),
            more_looks=sum(paper.record["looks"] > 1 for paper in studied),
            amended=sum(len(paper.results) > 1 for paper in studied),
            exploratory=sum(1 for paper in studied for c in (paper.result or {})["contrasts"] if c["role"] == "secondary"),
            withheld=_withheld(studied),
            trials=_trials(studied),
            seeds=sum(len((paper.result or {})["seeds"]) for paper in studied),
            fresh=sum(not paper.record["stale"] and not paper.record["carried"] for paper in studied),
            carried=sum(bool(paper.record["carried"]) for paper in studied),
            stale=sum(bool(paper.record["stale"]) for paper in studied),
            minutes={"sum": text_of(sum(minutes), 0), "middle": text_of(minutes[len(minutes) // 2], 1), "most": text_of(minutes[-1], 1)}
            if minutes
            else None,
            costs={name: _costs(studied, width, name) for name, width in (("wide", WIDE), ("narrow", NARROW))} if minutes else None,
        )
    )


def _by_fidelity(studied: Sequence[Paper]) -> dict[str, Any]:
    counts = Counter((paper.word, paper.record["fidelity"]) for paper in studied)
    rows = [
        [
            Markup('<a class="accent {0}" href="index.html#verdict={0}">{0}</a>').format(word),
            *(counts[word, fidelity] or "" for fidelity in FIDELITY),
            sum(counts[word, fidelity] for fidelity in FIDELITY),
        ]
        for word in VERDICTS
    ]
    rows.append(["all", *(sum(counts[word, fidelity] for word in VERDICTS) or "" for fidelity in FIDELITY), len(studied)])
    head = [
        "Verdict at desk scale",
        *(f"read from {said}" if fidelity in ("code", "paper") else said for fidelity, said in FIDELITY.items()),
        "all",
    ]
    return grid("Studies by verdict and by what they were read from", head, rows, range(1, len(head)))


def _by_tier(atlas: Atlas) -> dict[str, Any]:
    of = {tier: [paper for paper in atlas.papers if paper.row.tier == tier] for tier in TIERS}
    rows = [[tier, len(of[tier]), sum(p.result is not None for p in of[tier]), sum(p.word in BADGES for p in of[tier])] for tier in TIERS]
    return grid("What was tested is no sample of what is catalogued", ["Tier", "catalogued", "tested", "with a verdict"], rows, [1, 2, 3])


def _forest(studied: Sequence[Paper], width: float, name: str) -> Markup:
    marks = [(paper.row.slug, paper.word, paper.deciding) for paper in studied if paper.deciding]
    return forest("The effect that decided each study", f"all-{name}", marks, width=width)


def _everything(studied: Sequence[Paper]) -> dict[str, Any]:
    rows = []
    for paper in studied:
        result, deciding = paper.result or {}, paper.deciding or {}
        shown = Shown(deciding, result["metrics"])
        power = result["registration"]["power"]
        rows.append(
            [
                Markup('<a href="{}">{}</a>').format(paper.page, paper.row.slug),
                Markup('<span class="accent {0}">{0}</span>').format(paper.word),
                Markup("{} <small>{}</small>").format(shown.amount, shown.limits),
                shown.margin,
                "" if deciding["p"] is None else probability(deciding["p"]),
                "" if paper.record["q"] is None else probability(paper.record["q"]),
                len(result["seeds"]),
                percent(power["reached"]),
                paper.record["looks"],
                len(paper.tuning["trials"]) if paper.tuning else 0,
                text_of(paper.record["core_minutes"], 1),
            ]
        )
    head = ["Study", "Verdict", "Effect, 95 % interval", "Matters from", "p", "q", "Seeds", "Power", "Looks", "Tuning trials", "Core-min"]
    return grid("Every study: the contrast that decided it, and what it took", head, rows, range(4, len(head)))


def _withheld(studied: Sequence[Paper]) -> list[tuple[str, str, int]]:
    reasons = Counter(reason for paper in studied for reason in {r.partition(":")[0] for r in (paper.result or {})["verdict"]["withheld"]})
    return [(reason, FAILED.get(reason, ""), n) for reason, n in reasons.most_common()]


def _trials(studied: Sequence[Paper]) -> dict[str, Any] | None:
    trials = [len(paper.tuning["trials"]) for paper in studied if paper.tuning]
    return {"sum": sum(trials), "least": min(trials), "most": max(trials)} if trials else None


def _costs(studied: Sequence[Paper], width: float, name: str) -> Markup:
    c, most = Canvas(width), max(20.0, *(paper.record["core_minutes"] for paper in studied))
    scale = Scale(0, most * 1.04, 8, width - 8)
    for mark, said in ((6, "about 6 wanted"), (20, "20 at most")):
        c.line(scale(mark), 16, scale(mark), 52, "edge")
        c.text(scale(mark), 11, said, "muted", "middle" if mark == 6 else "end")
    for paper in studied:
        c.dot(
            scale(paper.record["core_minutes"]),
            36,
            5,
            f"mean {paper.word}",
            f"{paper.row.slug}: {text_of(paper.record['core_minutes'], 1)} core-minutes",
        )
    axis(c, scale, 52, "core-minutes of the desk run", wanted=8 if width > 500 else 5)
    told = "; ".join(f"{paper.row.slug} {text_of(paper.record['core_minutes'], 1)}" for paper in studied)
    return c.svg(96, "Core-minutes of every desk run", told, f"cost-{name}")
