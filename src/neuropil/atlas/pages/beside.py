"""What stands beside an effect: the paper's own value, the strongest arm that the mechanism was set against, the study's other results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from neuropil.atlas.outcome import Table
from neuropil.atlas.pages.canvas import Canvas, Scale, axis
from neuropil.atlas.pages.tables import grid
from neuropil.atlas.pages.wording import Plain, Shown, mean_of, summary

_REACH = 6.0
"""The picture of several results ends at so many smallest differences that matter."""


def strongest(result: Plain, table: Table, *, lesion: str | None) -> list[dict[str, Any]]:
    """Name, for each metric of a primary contrast, the best of the arms that the mechanism was set against, the lesion left out."""
    found = []
    for on in dict.fromkeys(c["on"] for c in result["contrasts"] if c["role"] == "primary"):
        metric = result["metrics"][on]
        mechanisms = {c["a"] for c in result["contrasts"] if c["role"] == "primary" and c["on"] == on}
        against = [c for c in result["contrasts"] if c["on"] == on and c["a"] in mechanisms and c["b"] not in {*mechanisms, lesion}]
        arms = {c["b"]: mean_of(table.values(c["b"], on)) for c in against}
        if not arms:
            continue
        best = (min if metric["better"] == "lower" else max)(arms, key=lambda arm: arms[arm])
        contrast = next(c for c in against if c["b"] == best)
        found.append(
            {
                "label": metric["label"],
                "units": metric["units"],
                "arm": best,
                "value": summary(table.values(best, on), metric["kind"]),
                "mechanism": contrast["a"],
                "own": summary(table.values(contrast["a"], on), metric["kind"]),
                "among": len(arms),
                "shown": Shown(contrast, result["metrics"]),
                "role": contrast["role"],
            }
        )
    return found


def scales(results: Sequence[Plain]) -> dict[str, Any]:
    """Lay out the study's results, one a registration: budget, effect of every primary contrast, what it took; and draw them together."""
    rows = []
    for result in results:
        for c in (Shown(c, result["metrics"]) for c in result["contrasts"] if c["role"] == "primary"):
            rows.append(
                [
                    f"{result['registration']['number']}, {result['budget']['name']}",
                    f"{c.plain['a']} against {c.plain['b']}",
                    c.amount,
                    c.limits,
                    c.margin,
                    len(result["seeds"]),
                    result["verdict"]["word"],
                    result["registration"]["amends"] or "first registration",
                ]
            )
    head = [
        "Registration, budget",
        "Contrast",
        "Effect",
        "95 % interval",
        "Matters from",
        "Seeds",
        "Verdict of the study",
        "Why it was run",
    ]
    return {
        "budgets": list(dict.fromkeys(str(result["budget"]["name"]) for result in results)),
        "table": grid("Every registered result of this study, oldest first", head, rows, [5]) if len(results) > 1 else None,
        "chart": _chart(results) if len(results) > 1 else None,
    }


def in_deltas(contrast: Plain) -> tuple[float, list[float], list[float]]:
    """Give effect, 95 % and 90 % interval in units of the smallest difference that matters (of its logarithm for ratios)."""
    delta = math.log(contrast["delta"]) if contrast["scale"] == "log" else contrast["delta"]
    return contrast["effect"] / delta, [v / delta for v in contrast["interval"] or ()], [v / delta for v in contrast["interval90"] or ()]


def _chart(results: Sequence[Plain]) -> Markup:
    marks = [
        (f"{result['registration']['number']}, {result['budget']['name']}: {c['a']} against {c['b']}", result, c)
        for result in results
        for c in result["contrasts"]
        if c["role"] == "primary"
    ]
    return forest("Effects of every registered result", "several", [(label, result["verdict"]["word"], c) for label, result, c in marks])


def forest(title: str, name: str, marks: Sequence[tuple[str, str, Mapping[str, Any]]], *, width: float = 720) -> Markup:
    """Draw contrasts below each other in units of the smallest difference that matters; what lies beyond the edge ends in an arrow."""
    c, row = Canvas(width), 46
    bottom = 30 + row * len(marks)
    values = [abs(v) for _, _, contrast in marks for v in (in_deltas(contrast)[0], *in_deltas(contrast)[1])]
    most = min(_REACH, max([2.0, *(v for v in values if math.isfinite(v))]) * 1.08)
    scale = Scale(-most, most, 8, width - 8)
    c.rect(scale(-1), 22, scale(1) - scale(-1), bottom - 22, "band")
    c.line(scale(0), 22, scale(0), bottom, "zero")
    c.text(0, 13, "\u2190 control better", "muted")
    c.text(width, 13, "mechanism better \u2192", "muted", "end")
    for index, (label, word, contrast) in enumerate(marks):
        y = 30 + row * index
        effect, interval, interval90 = in_deltas(contrast)
        c.text(0, y + 12, label, "arm")
        c.text(width, y + 12, word, f"value word {word}", "end")
        for limits, style in ((interval, "thin"), (interval90, "thick")):
            if limits:
                c.line(scale(limits[0]), y + 27, scale(limits[1]), y + 27, f"{style} {word}")
        if abs(effect) > most:
            x, way = scale(effect), 1 if effect > 0 else -1
            c.path([(x - 12 * way, y + 19.5), (x, y + 27), (x - 12 * way, y + 34.5)], f"mean {word}", closed=True)
        else:
            c.dot(scale(effect), y + 27, 5, f"mean {word}")
    axis(c, scale, bottom, "benefit, in smallest differences that matter", wanted=9 if width > 500 else 5)
    told = "; ".join(f"{label}: {in_deltas(contrast)[0]:.2g}, {word}" for label, word, contrast in marks)
    return c.svg(bottom + 44, title, f"In units of the smallest difference that matters. {told}.", name)
