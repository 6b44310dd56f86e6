"""What a page shows of one result: verdict, effect, seeds, curves, the study's own figures, gathered for the templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from neuropil.atlas.catalogue import Row
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.outcome import Table, decode
from neuropil.atlas.pages import drawing, tables, wording
from neuropil.atlas.pages.figures import Drawn
from neuropil.atlas.pages.wording import Plain, Shown

Described = Row | Mapping[str, Any] | None
_MANY = 6
"""With more arms than this the curves show the primary ones alone."""


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


def shown_of(result: Plain) -> list[Shown]:
    """Give all contrasts as they are shown."""
    return [Shown(contrast, result["metrics"]) for contrast in result["contrasts"]]


def view(
    result: Plain, table: Table, *, row: Described, title: str, ledger: Sequence[Plain], figures: Sequence[Drawn], name: str
) -> dict[str, Any]:
    """Gather what the study's page and the tour share; ``table`` is the result's, ``title`` is used without a row, ``name`` keeps ids of several studies apart."""
    shown = shown_of(result)
    curves = _curves(result, table, name)
    return {
        "slug": result["slug"],
        "title": _of(row, "title") or title or str(result["slug"]),
        "by": _by(row),
        "claim": result["claim"],
        "fidelity": wording.FIDELITY[result["fidelity"]],
        "scale": wording.SCALE[result["scale"]],
        "v": verdict_of(result, shown, ledger, name),
        "shown": shown,
        "seed_groups": _seed_groups(result, table, name),
        "curves": curves,
        "legend": [{"arm": arm, "swatch": drawing.swatch(style)} for arm, style in _styles(result).items() if curves],
        "figures": figures,
        "audit": tables.audit(result),
        "cost": tables.cost(result),
    }


def verdict_of(result: Plain, shown: Sequence[Shown], ledger: Sequence[Plain], name: str) -> dict[str, Any]:
    """Gather what the verdict's block says; without a ``name`` no effect is drawn."""
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
                arms, pair, axis, f"{name}-seeds-{wording.id_of(on)}{end}", seeds=table.seeds, kind=metric["kind"], width=width
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
            return drawing.curve_chart(arms, styles, f"{name}-curve-{wording.id_of(curve)}{end}", width=width)

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


def _of(row: Described, name: str) -> Any:
    return row.get(name) if isinstance(row, Mapping) else getattr(row, name, None)


def _by(row: Described) -> str:
    authors = ", ".join(_of(row, "authors") or ())
    year = _of(row, "year")
    return ", ".join(str(part) for part in (authors, year) if part)
