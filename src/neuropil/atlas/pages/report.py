"""One study, one page: a self-contained HTML file made from the stored result, read the same on a phone, in the dark and on paper."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from neuropil.atlas.catalogue import Row
from neuropil.atlas.conduct.result import per_seed_csv
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import write_text
from neuropil.atlas.outcome import Table, decode
from neuropil.atlas.pages import drawing, embedding, tables, wording
from neuropil.atlas.pages.wording import Plain, Shown
from neuropil.atlas.study import Study

_PAGES = Path(__file__).parent
_MANY = 6
"""With more arms than this the curves show the primary ones alone."""
_DOI = re.compile(r"\bdoi\s*=\s*[{\"]\s*(10\.[^}\"\s]+)", re.IGNORECASE)
_ARXIV = re.compile(r"arXiv[:\s]*(?:preprint\s+arXiv:)?\s*(\d{4}\.\d{4,5})|eprint\s*=\s*[{\"](\d{4}\.\d{4,5})", re.IGNORECASE)
Glance = tuple[Plain, Study | None, Row | Mapping[str, Any] | None, Plain | None]


def render(
    result: Plain,
    *,
    study: Study | None,
    row: Row | Mapping[str, Any] | None,
    bibtex: str,
    ledger: Sequence[Plain],
    tuning: Plain | None = None,
    remarks: str = "",
) -> str:
    """Write a result's page.

    ``study`` adds its own figures, ``row`` title and authors, ``ledger`` the looks, ``tuning`` the record of this result's budget, ``remarks``
    (``remarks.md`` beside the result) what was learned after the run, in plain text; the result itself is never edited.
    The same input gives the same bytes. Raises ``AtlasError`` for something that is no result.
    """
    facts, trials = tables.tuning(tuning) if tuning else (None, None)
    view = _view(result, study, row, ledger, "s")
    found = table_of(result)
    link, link_text = _link(bibtex)
    contrasts = tables.contrasts(result, view["shown"])
    return (
        _environment()
        .get_template("study.html.j2")
        .render(
            view
            | {
                "css": _css(),
                "link": link,
                "link_text": link_text,
                "csv": "data:text/csv;charset=utf-8," + quote(per_seed_csv(dict(result))),
                "gate": result["gate"],
                "arms": tables.arms(result, found),
                "settings": tables.settings(result),
                "contrasts": contrasts,
                "has_secondary": any(c["role"] == "secondary" for c in result["contrasts"]),
                "contrast_notes": [
                    f"{c['a']} against {c['b']} on {c['on']}: {c['note']}"
                    for c in result["contrasts"]
                    if c["note"] and c["role"] == "secondary"
                ],
                "paper": tables.paper(result, found) + ([("Remarks added after the run", remarks)] if remarks else []),
                "registration": tables.registration(result) if result["registration"] else None,
                "tuning": facts,
                "tuning_table": trials,
                "ledger": tables.ledger_table(ledger),
                "provenance": tables.provenance(result),
                "bibtex": bibtex.strip(),
            }
        )
    )


def render_tour(glances: Sequence[Glance]) -> str:
    """Write the page of ``neuropil tour``: for each study its glance's result, the study, its catalogue row, and its committed result if any."""
    studies = []
    for index, (result, study, row, committed) in enumerate(glances):
        view = _view(result, study, row, (), f"t{index}")
        studies.append(view | {"committed": _verdict(committed, _shown(committed), (), "") if committed else None})
    return _environment().get_template("tour.html.j2").render(css=_css(), studies=studies)


def write(path: Path, html: str) -> None:
    """Write a page, whole or not at all."""
    write_text(path, html)


def table_of(result: Plain) -> Table:
    """Rebuild what figures read, ``Table``, from a stored result; a matrix is there for the first seed only."""
    try:
        rebuilt: dict[str, list[dict[str, Any]]] = {}
        for arm, record in result["arms"].items():
            outcomes: list[dict[str, Any]] = []
            for index in range(len(result["seeds"])):
                plain = {name: values[index] for name, values in record["metrics"].items()}
                plain |= {name: rows[index] for name, rows in record["curves"].items()}
                if index == 0:
                    plain |= record["matrices"]
                outcomes.append(decode(plain))
            rebuilt[arm] = outcomes
        return Table(result["seeds"], rebuilt)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise AtlasError("This is not a result of neuropil; give a file written by `neuropil run SLUG --json FILE`.") from None


def _shown(result: Plain) -> list[Shown]:
    return [Shown(contrast, result["metrics"]) for contrast in result["contrasts"]]


def _view(result: Plain, study: Study | None, row: Row | Mapping[str, Any] | None, ledger: Sequence[Plain], name: str) -> dict[str, Any]:
    """Gather what the study's page and the tour share; ``name`` keeps the ids of several studies on one page apart."""
    table, shown = table_of(result), _shown(result)
    curves = _curves(result, table, name)
    title = _of(row, "title") or (study.title if study else "") or str(result["slug"])
    return {
        "slug": result["slug"],
        "title": title,
        "by": _by(row),
        "claim": result["claim"],
        "fidelity": wording.FIDELITY[result["fidelity"]],
        "scale": wording.SCALE[result["scale"]],
        "v": _verdict(result, shown, ledger, name),
        "shown": shown,
        "seed_groups": _seed_groups(result, table, name),
        "curves": curves,
        "legend": [{"arm": arm, "swatch": drawing.swatch(style)} for arm, style in _styles(result).items() if curves],
        "figures": _figures(study, table, name),
        "audit": tables.audit(result),
        "cost": tables.cost(result),
    }


def _verdict(result: Plain, shown: Sequence[Shown], ledger: Sequence[Plain], name: str) -> dict[str, Any]:
    kind = wording.kind_of(result)
    verdict = result["verdict"] or {"withheld": [], "statistics": ""}
    return {
        "kind": kind,
        "word": kind.capitalize(),
        "at_scale": wording.at_scale(result),
        "emblem": drawing.emblem(kind),
        "headline": wording.headline(result),
        "meaning": wording.meaning(result),
        "has_verdict": result["verdict"] is not None and not verdict["withheld"],
        "withheld": [tables.typeset(reason) for reason in verdict["withheld"]],
        "statistics": verdict["statistics"],
        "primaries": [
            _primary(result, c, f"{name}-effect-{index}" if name else "") for index, c in enumerate(shown) if c.plain["role"] == "primary"
        ],
        "n": len(result["seeds"]),
        "looks": tables.looks(result, ledger),
    }


def _primary(result: Plain, c: Shown, name: str) -> dict[str, Any]:
    gap = c.plain["gap_closed"]
    return {
        "a": c.plain["a"],
        "b": c.plain["b"],
        "label": c.label,
        "log": c.log,
        "kind": c.kind,
        "amount": c.amount,
        "interval": c.interval,
        "limits": c.limits,
        "margin": c.margin,
        "predicted": c.predicted,
        "fresh": c.plain["prediction"] and c.plain["prediction"]["n"],
        "gap_closed": None if gap is None else wording.number(100 * gap, 1 if abs(gap) < 0.1 else 0, signed=True),
        "sentence": c.sentence(),
        "word": c.plain["word"],
        "note": c.plain["note"],
        "effect_chart": _both(lambda width, end: drawing.effect_chart(c, name + end, width=width, seeds=result["seeds"])) if name else None,
    }


def _both(draw: Any) -> dict[str, Markup]:
    return {"wide": draw(drawing.WIDE, "-w"), "narrow": draw(drawing.NARROW, "-n")}


def _styles(result: Plain) -> dict[str, int]:
    """Give each arm its place among the line styles, the primary mechanism and its control first; with many arms, the primary ones alone."""
    primary = [arm for c in result["contrasts"] if c["role"] == "primary" for arm in (c["a"], c["b"]) if arm in result["arms"]]
    others = list(result["arms"]) if len(result["arms"]) <= _MANY or not primary else []
    return {arm: index for index, arm in enumerate(dict.fromkeys([*primary, *others]))}


def _seed_groups(result: Plain, table: Table, name: str) -> list[dict[str, Any]]:
    groups = []
    for on in dict.fromkeys(c["on"] for c in result["contrasts"] if c["role"] == "primary"):
        primary = next(c for c in result["contrasts"] if c["role"] == "primary" and c["on"] == on)
        metric = result["metrics"][on]
        arms = {arm: table.values(arm, on) for arm in table.arms if on in table.numbers(arm)}
        pair = (primary["a"], primary["b"])

        def draw(width: float, end: str, arms: Any = arms, pair: Any = pair, on: str = on, metric: Plain = metric) -> Markup:
            axis = f"{metric['label']} ({metric['units']}), {metric['better']} is better"
            return drawing.seeds_chart(
                arms, pair, axis, f"{name}-seeds-{_slug(on)}{end}", seeds=table.seeds, kind=metric["kind"], width=width
            )

        caption = "One dot a seed, one row an arm; upright stroke: mean, bar: one standard deviation."
        if metric["kind"] == "success":
            caption = "One dot a seed, one row an arm, 1 for success; upright stroke: the share of successes."
        elif all(arm in arms for arm in pair):
            caption += f" Lines join the same seed in {pair[0]} and {pair[1]}."
        groups.append({"charts": _both(draw), "caption": caption})
    return groups


def _curves(result: Plain, table: Table, name: str) -> list[dict[str, Any]]:
    styles = _styles(result)
    found = []
    for curve in dict.fromkeys(key for record in result["arms"].values() for key in record["curves"]):
        arms = {arm: table.curves(arm, curve) for arm in styles if curve in result["arms"][arm]["curves"]}

        def draw(width: float, end: str, arms: Any = arms, curve: str = curve) -> Markup:
            return drawing.curve_chart(arms, styles, f"{name}-curve-{_slug(curve)}{end}", width=width)

        n = len(table.seeds)
        alike = {all(one.x == rows[0].x for one in rows) for rows in arms.values()}
        spread = (
            f"Mean over {n} seeds, with one standard deviation." if n > 4 else "Thick: mean; thin: each seed." if n > 1 else "One seed."
        )
        if False in alike:
            spread = (
                f"{spread} One thin line a seed where seeds differ in length."
                if True in alike
                else "One line a seed; seeds differ in length."
            )
        left_out = " The primary arms; the CSV and the study's own figures have the others." if len(styles) < len(result["arms"]) else ""
        if arms:
            found.append({"charts": _both(draw), "caption": f"{curve.replace('_', ' ').capitalize()}. {spread}{left_out}"})
    return found


def _figures(study: Study | None, table: Table, name: str) -> list[dict[str, Any]]:
    """Draw the study's own figures; one that needs arms which this run left out is left out too."""
    drawn = []
    for key, (caption, function) in (study.figures if study else {}).items():
        try:
            drawn.append({"svg": embedding.draw(function, table, f"{name}-own-{_slug(key)}", caption), "caption": caption})
        except (AtlasError, KeyError) as error:
            drawn.append({"svg": "", "caption": f"{caption} Not drawn: {_said(error)}"})
    return drawn


def _said(error: Exception) -> str:
    return f"this run holds no {error.args[0]}" if isinstance(error, KeyError) else str(error)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "x"


def _of(row: Row | Mapping[str, Any] | None, name: str) -> Any:
    return row.get(name) if isinstance(row, Mapping) else getattr(row, name, None)


def _by(row: Row | Mapping[str, Any] | None) -> str:
    authors = ", ".join(_of(row, "authors") or ())
    year = _of(row, "year")
    return ", ".join(str(part) for part in (authors, year) if part)


def _link(bibtex: str) -> tuple[str, str]:
    """Find where the paper can be read: by its DOI, else by its arXiv number."""
    if found := _DOI.search(bibtex):
        return f"https://doi.org/{found[1]}", f"doi:{found[1]}"
    if found := _ARXIV.search(bibtex):
        number = found[1] or found[2]
        return f"https://arxiv.org/abs/{number}", f"arXiv:{number}"
    return "", ""


def _css() -> Markup:
    return Markup((_PAGES / "style.css").read_text(encoding="utf-8").strip())


@cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(_PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
