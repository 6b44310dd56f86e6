"""Inline SVG for the report pages: an effect against what matters, every seed, curves. Colours come from the page, so light and dark both work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from neuropil.atlas.outcome import Curve
from neuropil.atlas.pages.canvas import Canvas, Scale, axis, labels_of
from neuropil.atlas.pages.wording import Shown, decimals, mean_of, spread_of, text_of

WIDE, NARROW, PANEL = 720, 344, 352
"""Widths in pixels: a full column, a phone, one of two beside each other."""
DASHES = ("", "7 3", "2 3", "8 3 2 3", "4 4", "1 4")
COLOURS = 6
_MOST_POINTS = 160


def effect_chart(shown: Shown, name: str, *, width: float = WIDE, seeds: Sequence[int] = ()) -> Markup:
    """Draw one contrast: the band of differences too small to matter, zero, the mean with its 95 % and 90 % interval, seeds, prediction."""
    c = Canvas(width)
    log = shown.log
    values = [*shown.band, shown.nothing, shown.effect, *shown.benefits, *(shown.interval or ()), *(shown.prediction or ())]
    finite = [v for v in values if math.isfinite(v) and (not log or v > 0)]
    low, high = min(finite), max(finite)
    room = (high / low) ** 0.06 if log else (high - low) * 0.06
    scale = Scale(low / room if log else low - room, high * room if log else high + room, 8, width - 8, log)
    rows = 2 + (shown.prediction is not None)
    bottom = 30 + 46 * rows
    c.rect(scale(shown.band[0]), 26, scale(shown.band[1]) - scale(shown.band[0]), bottom - 26, "band")
    for edge in shown.band:
        c.line(scale(edge), 26, scale(edge), bottom, "edge")
    c.line(scale(shown.nothing), 26, scale(shown.nothing), bottom, "zero")
    a, b = shown.plain["a"], shown.plain["b"]
    fit = int((width - 40) / 14) - 10
    c.text(0, 15, f"\u2190 {_short(b, fit)} better", "side")
    c.text(width, 15, f"{_short(a, fit)} better \u2192", "side", "end")
    y = 26.0
    c.text(0, y + 15, "mean, 95 % and 90 % interval" if shown.interval else "one seed: no interval", "row")
    y += 46
    if shown.interval:
        _bar(c, scale, shown.interval, y - 12, "thin", caps=True)
    if shown.interval90:
        _bar(c, scale, shown.interval90, y - 12, "thick")
    c.dot(scale(shown.effect), y - 12, 6, "mean", f"mean {text_of(shown.effect)}")
    c.text(0, y + 15, f"each of {len(shown.benefits)} seeds" if len(shown.benefits) > 1 else "the seed", "row")
    y += 46
    for (x, lift), index in _swarm([scale(v) for v in shown.benefits], 3.2, width / 2):
        at = f"seed {seeds[index]}: " if index < len(seeds) else ""
        c.dot(x, y - 12 - lift, 3.2, "seed", at + text_of(shown.benefits[index]))
    if shown.prediction:
        c.text(0, y + 15, f"95 % prediction for {shown.plain['prediction']['n']} fresh seeds", "row")
        y += 46
        _bar(c, scale, shown.prediction, y - 12, "dashed", caps=True)
    axis(c, scale, bottom, shown.axis, wanted=8 if width > 500 else 4)
    limits = f"95 % interval {text_of(shown.interval[0])} to {text_of(shown.interval[1])}" if shown.interval else "no interval"
    said = f"Effect {text_of(shown.effect)}, {limits}; differences between {text_of(shown.band[0])} and {text_of(shown.band[1])} are too small to matter."
    return c.svg(bottom + 44, f"{a} against {b} on {shown.label}", said, name)


def _bar(c: Canvas, scale: Scale, limits: Sequence[float], y: float, kind: str, *, caps: bool = False) -> None:
    c.line(scale(limits[0]), y, scale(limits[1]), y, kind)
    for limit in limits if caps else ():
        if math.isfinite(limit):
            c.line(scale(limit), y - 5, scale(limit), y + 5, "cap")


def _swarm(xs: Sequence[float], radius: float, inward: float) -> list[tuple[tuple[float, float], int]]:
    """Lift dots that would overlap to the nearest free height; where many are equal, move some towards ``inward``."""
    placed: list[tuple[tuple[float, float], int]] = []
    for index in sorted(range(len(xs)), key=lambda i: (xs[i], i)):
        aside = math.copysign(1.9 * radius, inward - xs[index])
        places = [(xs[index] + k * aside, 1.4 * radius * h) for k in range(len(xs)) for h in (0, 1, -1, 2, -2)]
        free = next((p for p in places if all(math.dist(p, other) >= 1.89 * radius for other, _ in placed)), places[0])
        placed.append((free, index))
    return placed


def _short(words: str, length: int) -> str:
    return words if len(words) <= length else words[: max(1, length - 1)] + "\u2026"


def seeds_chart(
    arms: Mapping[str, Sequence[float]],
    pair: tuple[str, str],
    label: str,
    name: str,
    *,
    seeds: Sequence[int],
    kind: str = "mean",
    width: float = WIDE,
) -> Markup:
    """Draw every seed as a dot, an arm a row, a line between the paired values of the two primary arms, the mean and one standard deviation."""
    order = [*(arm for arm in pair if arm in arms), *(arm for arm in arms if arm not in pair)]
    finite = [v for arm in order for v in arms[arm] if math.isfinite(v)] or [1.0]
    log = kind in ("steps", "time") and min(finite) > 0 and max(finite) / min(finite) > 8
    low, high = min(finite), max(finite)
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - abs(low or 1) * 0.05, high + abs(high or 1) * 0.05)
    room = (high / low) ** 0.05 if log else (high - low) * 0.05
    never = any(math.isinf(v) for arm in order for v in arms[arm])
    scale = Scale(low / room if log else low - room, high * room if log else high + room, 8, width - (44 if never else 8), log)
    c, row = Canvas(width), 46
    bottom = row * len(order) + 6

    def x_of(value: float) -> float:
        return width - 18 if value == math.inf else scale(value)

    if never:
        c.line(width - 34, 6, width - 34, bottom, "edge")
        c.text(width - 18, bottom + 17, "never", "tick", "middle")
    if kind != "success" and all(arm in arms for arm in pair):
        for left, right in zip(arms[pair[0]], arms[pair[1]], strict=True):
            c.line(x_of(left), row - 12, x_of(right), 2 * row - 12, "pair")
    for index, arm in enumerate(order):
        y = row * (index + 1) - 12
        values, middle, spread = arms[arm], mean_of(arms[arm]), spread_of(arms[arm])
        lead = "c0" if arm == pair[0] else "c1" if arm == pair[1] else "other"
        if spread and kind != "success":
            c.line(scale(middle - spread), y, scale(middle + spread), y, "sd")
        for (x, lift), at in _swarm([x_of(v) for v in values], 3.2, width / 2):
            c.dot(x, y - lift, 3.2, f"seed {lead}", f"{arm}, seed {seeds[at]}: {text_of(values[at])}")
        c.line(x_of(middle), y - 10, x_of(middle), y + 10, "middle")
        places = decimals(spread) if spread else None
        said = f"{text_of(sum(values))} of {len(values)}" if kind == "success" else text_of(middle, places)
        said += f" \u00b1 {text_of(spread, places)}" if spread and kind != "success" else ""
        c.text(0, y - 17, _short(arm, int(width / 9)), "arm")
        c.text(width, y - 17, said, "value", "end")
    axis(c, scale, bottom, label, wanted=8 if width > 500 else 4)
    told = "; ".join(f"{arm}: {'median' if never else 'mean'} {text_of(mean_of(arms[arm]))}" for arm in order)
    return c.svg(bottom + 44, f"Every seed of {label}", told, name)


def curve_chart(curves: Mapping[str, Sequence[Curve]], styles: Mapping[str, int], name: str, *, width: float = PANEL) -> Markup:
    """Draw curves, an arm a colour and a dash: the mean with a band of one standard deviation, and thin lines up to four seeds."""
    height = 250 if width < 500 else 320
    drawn = {arm: [_thinned(curve) for curve in rows] for arm, rows in curves.items()}
    xs = [x for rows in drawn.values() for curve in rows for x in curve.x if math.isfinite(x)] or [0.0, 1.0]
    ys = [y for rows in drawn.values() for curve in rows for y in curve.y if math.isfinite(y)] or [0.0, 1.0]
    top, base = (max(ys), min(ys)) if max(ys) > min(ys) else (max(ys) + 1, min(ys) - 1)
    right, left = (max(xs), min(xs)) if max(xs) > min(xs) else (max(xs) + 1, min(xs) - 1)
    margin = (top - base) * 0.05
    upright = Scale(base - margin, top + margin, height - 50, 26)
    ticks = upright.ticks(5)
    labels = labels_of(ticks, log=False)
    start = 10 + 7.2 * max(map(len, labels), default=1)
    along = Scale(left, right, start, width - 6)
    c = Canvas(width)
    for value, label in zip(ticks, labels, strict=True):
        c.line(start, upright(value), width - 6, upright(value), "grid")
        c.text(start - 6, upright(value) + 4, label, "tick", "end")
    first = next(iter(next(iter(curves.values()))))
    c.text(0, 14, _short(first.y_label, int(width / 7)), "muted")
    for arm, rows in drawn.items():
        colour, dash = f"c{styles[arm] % COLOURS}", DASHES[styles[arm] % len(DASHES)]
        together = len(rows) > 1 and all(curve.x == rows[0].x for curve in rows)
        if len(rows) <= 4 or not together:
            for curve in rows:
                c.path(_at(along, upright, curve.x, curve.y), f"curve thinly {colour}")
        if together or len(rows) == 1:
            columns = list(zip(*(curve.y for curve in rows), strict=True))
            middle = [math.fsum(column) / len(column) if all(map(math.isfinite, column)) else math.nan for column in columns]
            spreads = [spread_of(column) or 0.0 for column in columns]
            if len(rows) > 4 and all(map(math.isfinite, middle)):
                upper = _at(along, upright, rows[0].x, [m + s for m, s in zip(middle, spreads, strict=True)])
                lower = _at(along, upright, rows[0].x, [m - s for m, s in zip(middle, spreads, strict=True)])
                c.path([*upper, *reversed(lower)], f"area {colour}", closed=True)
            c.path(_at(along, upright, rows[0].x, middle), f"curve {colour}", f' stroke-dasharray="{dash}"' if dash else "")
    axis(c, along, height - 50, _short(first.x_label, int(width / 7)), wanted=8 if width > 500 else 5)
    return c.svg(height, f"{first.y_label} against {first.x_label}", f"One line an arm: {', '.join(curves)}.", name)


def _at(along: Scale, upright: Scale, xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    return [(along(x), upright(y) if math.isfinite(y) else math.nan) for x, y in zip(xs, ys, strict=True)]


def _thinned(curve: Curve) -> Curve:
    """Average runs of neighbours where a curve has more points than a picture shows."""
    size = math.ceil(len(curve.x) / _MOST_POINTS)
    if size == 1:
        return curve
    cuts = [slice(k, k + size) for k in range(0, len(curve.x), size)]
    x = [math.fsum(curve.x[cut]) / len(curve.x[cut]) for cut in cuts]
    y = [math.fsum(curve.y[cut]) / len(curve.y[cut]) for cut in cuts]
    return Curve(x, y, curve.x_label, curve.y_label)


def swatch(style: int) -> Markup:
    """Draw the legend's sample of a line style."""
    dash = DASHES[style % len(DASHES)]
    extra = f' stroke-dasharray="{dash}"' if dash else ""
    return Markup(
        f'<svg viewBox="0 0 30 10" width="30" height="10" aria-hidden="true"><path d="M0 5L30 5" class="curve c{style % COLOURS}"{extra}/></svg>'
    )


def emblem(word: str) -> Markup:
    """Draw a verdict's emblem: its interval against the band of differences too small to matter."""
    spans = {
        "supported": (34, 52),
        "negligible": (23, 33),
        "reversed": (4, 22),
        "undecided": (14, 46),
        "descriptive": (14, 46),
        "exploratory": (24, 50),
    }
    c = Canvas(56)
    c.rect(19, 2, 18, 28, "band")
    c.line(28, 2, 28, 30, "zero")
    c.line(1, 30, 55, 30, "axis")
    if word in spans:
        low, high = spans[word]
        c.line(low, 16, high, 16, "dashed" if word in ("descriptive", "exploratory") else "thick")
        c.dot((low + high) / 2, 16, 4.5, "hollow" if word in ("descriptive", "exploratory") else "mean")
    else:
        c.line(20, 8, 36, 24, "thin")
        c.line(20, 24, 36, 8, "thin")
    return (
        Markup('<svg viewBox="0 0 56 32" width="70" height="40" class="emblem" aria-hidden="true">')
        + Markup("".join(c.parts))
        + Markup("</svg>")
    )
