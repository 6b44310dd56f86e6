"""A picture being drawn as inline SVG: its elements, its scales and its axes. Colours are classes that the page's style gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from neuropil.atlas.pages.wording import text_of


@dataclass
class Canvas:
    """A picture being drawn: its width, and the SVG elements so far."""

    width: float
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """Write words at a baseline."""
        self.parts.append(
            str(Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(_c(x), _c(y), kind, anchor, words))
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """Draw a straight line."""
        self.parts.append(f'<line x1="{_c(x1)}" y1="{_c(y1)}" x2="{_c(x2)}" y2="{_c(y2)}" class="{kind}"/>')

    def rect(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """Draw a rectangle."""
        self.parts.append(f'<rect x="{_c(x)}" y="{_c(y)}" width="{_c(max(0, width))}" height="{_c(height)}" class="{kind}"/>')

    def dot(self, x: float, y: float, radius: float, kind: str, title: str = "") -> None:
        """Draw a disc, its title shown on hovering."""
        inner = str(Markup("<title>{}</title>").format(title)) if title else ""
        self.parts.append(f'<circle cx="{_c(x)}" cy="{_c(y)}" r="{_c(radius)}" class="{kind}">{inner}</circle>')

    def path(self, points: Sequence[tuple[float, float]], kind: str, extra: str = "", *, closed: bool = False) -> None:
        """Draw a line through points, broken where one is not finite."""
        commands, pen = [], "M"
        for x, y in points:
            if math.isfinite(x) and math.isfinite(y):
                commands.append(f"{pen}{_c(x)} {_c(y)}")
                pen = "L"
            else:
                pen = "M"
        self.parts.append(f'<path d="{"".join(commands)}{"Z" if closed else ""}" class="{kind}"{extra}/>')

    def svg(self, height: float, title: str, description: str, name: str) -> Markup:
        """Close the picture; ``name`` must be unique on the page."""
        head = Markup(
            '<svg viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-labelledby="{n}-t {n}-d">'
            '<title id="{n}-t">{t}</title><desc id="{n}-d">{d}</desc>'
        ).format(w=_c(self.width), h=_c(height), n=name, t=title, d=description)
        return head + Markup("".join(self.parts)) + Markup("</svg>")


@dataclass(frozen=True)
class Scale:
    """A map from values to pixels, linear or logarithmic; values outside land on the nearer end."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Give the pixel of a value."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        at = (-math.inf if value <= 0 else math.log(value)) if self.log else value
        return self.start + (self.end - self.start) * (min(max(at, low), high) - low) / (high - low)

    def ticks(self, wanted: int) -> list[float]:
        """Round values inside the scale, about so many."""
        if self.log:
            steps = _log_steps(self.low, self.high)
            return steps[:: max(1, math.ceil(len(steps) / (wanted + 1)))] if 1.0 not in steps else _around_one(steps, wanted)
        span = self.high - self.low
        base = 10.0 ** math.floor(math.log10(span / wanted))
        step = next(base * m for m in (1, 2, 2.5, 5, 10) if span / (base * m) <= wanted)
        first = math.ceil(self.low / step - 1e-9)
        return [round(k * step, 12) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _log_steps(low: float, high: float) -> list[float]:
    wide = high / low > 30
    mantissas = (1,) if high / low > 1000 else (1, 2, 5) if wide else (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 7) if high / low > 1.8 else ()
    if not mantissas:
        return Scale(low, high, 0, 1).ticks(5)
    both = {m * 10.0**k for k in range(-12, 13) for m in mantissas}
    if not wide:
        both |= {1 / v for v in both if 1 <= v <= 30}
        both = {v for v in both if not (v < 1 and v not in (0.1, 0.2, 0.25, 0.5, 0.8) and 1 / v not in (1, 1.25, 1.5, 2, 3, 4, 5, 7, 10))}
    return sorted(v for v in both if low <= v <= high)


def _around_one(steps: list[float], wanted: int) -> list[float]:
    middle = steps.index(1.0)
    stride = max(1, math.ceil(len(steps) / (wanted + 1)))
    return [step for index, step in enumerate(steps) if (index - middle) % stride == 0]


def _c(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if round(value, 1) else "0"


def _tick(value: float, step: float) -> str:
    return (
        text_of(value, max(0, min(8, -math.floor(math.log10(step) + 1e-9) + (0 if _one_figure(step) else 1)))) if step else text_of(value)
    )


def _one_figure(step: float) -> bool:
    scaled = step / 10 ** math.floor(math.log10(step) + 1e-9)
    return bool(abs(scaled - round(scaled)) < 1e-6)


def labels_of(ticks: Sequence[float], *, log: bool) -> list[str]:
    """Write tick values with as many decimals as their step needs."""
    if log or len(ticks) < 2:
        return [f"{v:.3g}" for v in ticks]
    return [_tick(v, ticks[1] - ticks[0]) for v in ticks]


def axis(canvas: Canvas, scale: Scale, y: float, title: str, *, wanted: int) -> None:
    """Draw a scale along the bottom: line, ticks, numbers, title."""
    canvas.line(scale.start, y, scale.end, y, "axis")
    ticks = scale.ticks(wanted)
    for value, label in zip(ticks, labels_of(ticks, log=scale.log), strict=True):
        canvas.line(scale(value), y, scale(value), y + 4, "axis")
        canvas.text(scale(value), y + 17, label, "tick", "middle")
    room = round((canvas.width - 8) / 6)
    while len(title) > room and ", " in title:
        title = title.rpartition(", ")[0]
    canvas.text((scale.start + scale.end) / 2, y + 35, title, "muted", "middle")
