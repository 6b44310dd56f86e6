"""The first page: every paper as a row, with verdict, effect, seeds, fidelity, looks and time at one glance; search and filters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from neuropil.atlas.catalogue import FAMILIES, TIERS
from neuropil.atlas.catalogue.compiled import compiled
from neuropil.atlas.index import STATUSES, VERDICTS
from neuropil.atlas.pages import drawing
from neuropil.atlas.pages.beside import in_deltas
from neuropil.atlas.pages.canvas import Canvas, Scale
from neuropil.atlas.pages.site.gathering import BADGES, Atlas, Paper
from neuropil.atlas.pages.templates import PAGES, environment, style
from neuropil.atlas.pages.wording import Shown, probability, text_of

FIDELITY = {"code": "paper and code", "paper": "paper", "reconstructed": "our reading", "unverifiable": "no equations"}
DESK = {"1": (0, 1, "up to 1"), "6": (1, 6, "1 to 6"), "20": (6, 20, "6 to 20"), "more": (20, float("inf"), "over 20")}
"""Bounds in core-minutes, and how they are said."""
SORTS = {"tested": "Tested first", "newest": "Newest first", "title": "By title", "quick": "Quickest to run"}
_REACH = 4.0


def index_page(atlas: Atlas, site: Mapping[str, Any]) -> str:
    """Write the page."""
    papers = sorted(atlas.papers, key=_tested_first)
    numbers = {paper.row.slug: number for number, paper in enumerate(atlas.papers)}
    facets = facets_of(atlas)
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            css=style("site/index.css"),
            site=site,
            rows=[row_of(paper) | {"number": numbers[paper.row.slug]} for paper in papers],
            facets=facets,
            sorts=SORTS.items(),
            total=len(atlas.papers),
            studied=len(atlas.studied),
            counts=_counts(atlas),
            emblems={word: drawing.emblem(word) for word in VERDICTS},
            search=_script({"search": compiled(), "facets": {f["name"]: [o["value"] for o in f["options"]] for f in facets}}),
            values=_script([_values(paper) for paper in atlas.papers]),
            code=Markup("\n".join((PAGES / "site" / name).read_text(encoding="utf-8") for name in ("search.js", "index.js"))),
        )
    )


def facets_of(atlas: Atlas) -> list[dict[str, Any]]:
    """Give what rows are filtered by: name, legend, options with how each is said; every accepted option, held by a row or not."""
    years = sorted({paper.row.year for paper in atlas.papers}, reverse=True)
    return [
        _facet("status", "Status", {status: status for status in STATUSES}),
        _facet("verdict", "Verdict", {verdict: verdict for verdict in VERDICTS}),
        _facet("fidelity", "Read from", FIDELITY),
        _facet("desk", "Core-minutes to run", {name: said for name, (_, _, said) in DESK.items()}),
        _facet("tier", "Tier", {tier: tier for tier in TIERS}),
        _facet("family", "Family", {family: family for family in FAMILIES}),
        _facet("year", "Year", {str(year): str(year) for year in years}),
    ]


def row_of(paper: Paper) -> dict[str, Any]:
    """Gather what one row says; of a paper that is catalogued only, not much."""
    row, record = paper.row, paper.record
    found: dict[str, Any] = {
        "slug": row.slug,
        "title": row.title,
        "link": paper.page,
        "by": row.by,
        "family": row.family,
        "tier": row.tier,
        "word": paper.word,
        "said": paper.said,
        "package": getattr(row, "package", ""),
        "fidelity": FIDELITY.get(record["fidelity"], ""),
        "mark": "stale" if record["stale"] else "carried" if record["carried"] else "",
        "standing": paper.standing,
        "result": None,
    }
    if paper.result and paper.deciding:
        shown = Shown(paper.deciding, paper.result["metrics"])
        primaries = sum(c["role"] == "primary" for c in paper.result["contrasts"])
        found["result"] = {
            "effect": shown.amount,
            "limits": shown.limits,
            "margin": shown.margin,
            "against": f"{paper.deciding['a']} against {paper.deciding['b']}",
            "more": primaries - 1,
            "spark": spark(paper.deciding, paper.word),
            "n": len(paper.result["seeds"]),
            "q": probability(record["q"]) if record["q"] is not None else "",
            "looks": record["looks"],
            "minutes": text_of(record["core_minutes"], 0 if record["core_minutes"] >= 10 else 1),
            "withheld": ", ".join(dict.fromkeys(reason.partition(":")[0] for reason in paper.result["verdict"]["withheld"])),
        }
    return found


def spark(contrast: Mapping[str, Any], word: str) -> Markup:
    """Draw an effect and its 95 % interval against the band of differences too small to matter, in so small a space."""
    effect, interval, _ = in_deltas(contrast)
    c, scale = Canvas(112), Scale(-_REACH, _REACH, 4, 108)
    c.rect(scale(-1), 1, scale(1) - scale(-1), 18, "band")
    c.line(scale(0), 1, scale(0), 19, "zero")
    if interval:
        c.line(scale(interval[0]), 10, scale(interval[1]), 10, "thin")
    if abs(effect) > _REACH:
        way = 1 if effect > 0 else -1
        c.path([(scale(effect) - 9 * way, 4), (scale(effect), 10), (scale(effect) - 9 * way, 16)], "mean", closed=True)
    else:
        c.dot(scale(effect), 10, 4, "mean")
    return Markup('<svg viewBox="0 0 112 20" width="112" height="20" class="spark {}" aria-hidden="true">{}</svg>').format(
        word, Markup("".join(c.parts))
    )


def desk_of(minutes: float | None) -> str | None:
    """Name the range of core-minutes."""
    return None if minutes is None else next(name for name, (low, high, _) in DESK.items() if low <= minutes < high)


def _facet(name: str, legend: str, options: Mapping[str, str]) -> dict[str, Any]:
    return {"name": name, "legend": legend, "options": [{"value": value, "said": said} for value, said in options.items()]}


def _values(paper: Paper) -> dict[str, Any]:
    record = paper.record
    return {key: record[key] for key in ("status", "verdict", "fidelity", "tier", "family")} | {
        "year": str(record["year"]),
        "desk": desk_of(record["core_minutes"]),
        "minutes": record["core_minutes"],
        "title": record["title"],
    }


def _tested_first(paper: Paper) -> tuple[Any, ...]:
    words = (*VERDICTS, "implemented", "guide", "catalogued")
    row = paper.row
    return words.index(paper.word), TIERS.index(row.tier), FAMILIES.index(row.family), row.slug


def _counts(atlas: Atlas) -> dict[str, Any]:
    words = [paper.word for paper in atlas.papers]
    verdicts = {word: words.count(word) for word in VERDICTS if word in words}
    return {
        "verdicts": verdicts,
        "badges": sum(verdicts.get(word, 0) for word in BADGES),
        "waiting": words.count("implemented"),
        "guides": words.count("guide"),
        "catalogued": words.count("catalogued"),
        "stale": sum(bool(paper.record["stale"]) for paper in atlas.papers),
    }


def _script(value: Any) -> Markup:
    """Write JSON so that it can stand in a script element."""
    return Markup(json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c").replace("\u2028", "\\u2028"))
