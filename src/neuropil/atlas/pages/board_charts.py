"""Pictures of a board: entries with their scores and ranks, and scores against costs. Colours are classes of the page's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from neuropil.atlas.pages.canvas import Canvas, Scale, axis, labels_of
from neuropil.atlas.pages.wording import decimals, text_of

Plain = Mapping[str, Any]
_ROW, _TALL = 30, 46
_LETTER = 6.7
"""Pixels of a letter at the size of labels, a little more than it is."""


def ranking_chart(result: Plain, name: str, *, width: float) -> Markup:
    """Draw one entry a row, the best first: every seed, mean and 95 % interval; on a wide page also between which ranks it lies."""
    wide = width > 500
    entries = result["entries"]
    left = max((_LETTER * len(entry) for entry in entries), default=0) + 16 if wide else 0.0
    right = width * 0.68 if wide else width
    row, top = (_ROW, 26) if wide else (_TALL, 8)
    c, bottom = Canvas(width), top + row * len(entries)
    scores = _scale(result, left + 8, right - 8)
    places = Scale(0.6, len(entries) + 0.4, right + 34, width - 10)
    chance = result["metric"]["floor"]
    if chance is not None and scores.low <= chance <= scores.high:
        c.line(scores(chance), top - 6, scores(chance), bottom, "edge")
        if wide:
            c.text(scores(chance) + 5, top - 12, "chance", "tick")
    for index, (entry, facts) in enumerate(entries.items()):
        y = top + row * index + (row / 2 if wide else 32)
        if wide:
            c.line(0, y + row / 2, width, y + row / 2, "grid")
            c.text(0, y + 4, entry, "arm")
        else:
            c.text(0, y - 16, entry, "arm")
            c.text(width, y - 16, standing(facts), "value", "end")
        if facts["interval"]:
            low, high = facts["interval"]
            c.line(scores(low), y, scores(high), y, "thin")
        for seed, value in zip(result["seeds"], facts["scores"], strict=True):
            c.dot(scores(value), y, 3, "seed", f"{entry}, seed {seed}: {text_of(value)}")
        c.dot(scores(facts["mean"]), y, 5, "mean", f"{entry}: {said(facts)}")
        if wide:
            first, last = facts["between"]
            c.line(places(first), y, places(last), y, "span")
            c.dot(places(facts["rank"]), y, 5, "mean", f"{entry}: {standing(facts)}")
    metric = result["metric"]
    units = "" if metric["label"] in metric["units"] else f" ({metric['units']})"
    axis(c, scores, bottom + 4, f"{metric['label']}{units}, {metric['better']} is better", wanted=6 if wide else 4)
    if wide:
        c.line(places.start, bottom + 4, places.end, bottom + 4, "axis")
        step = next(step for step in (1, 2, 3, 5, 10, 100) if step * (places(2) - places(1)) >= 17)
        for place in range(1, len(entries) + 1, step):
            c.text(places(place), bottom + 21, str(place), "tick", "middle")
        c.text((places.start + places.end) / 2, bottom + 39, "rank, 95 % for all at once", "muted", "middle")
    told = "; ".join(f"{entry}: {said(facts)}, {standing(facts)}" for entry, facts in entries.items())
    return c.svg(bottom + 50, f"{result['task']}: every entry, the best first", told, name)


def cost_chart(result: Plain, costs: Mapping[str, float], label: str, name: str, *, width: float) -> Markup:
    """Draw score against one cost, an entry a dot with its name; the cost on a logarithmic scale where it spans a factor of 30 or more."""
    entries = result["entries"]
    low, high = min(costs.values()), max(costs.values())
    log = low > 0 and high / low >= 30
    room = (high / low) ** 0.12 if log else (high - low or abs(high) or 1.0) * 0.12
    height = 300
    along = Scale(low / room if log else low - room, high * room if log else high + room, 44, width - 8, log)
    means = [facts["mean"] for facts in entries.values()]
    margin = (max(means) - min(means) or 1.0) * 0.1
    upright = Scale(min(means) - margin, max(means) + margin, height - 50, 26)
    c = Canvas(width)
    ticks = upright.ticks(5)
    for value, written in zip(ticks, labels_of(ticks, log=False), strict=True):
        c.line(44, upright(value), width - 8, upright(value), "grid")
        c.text(38, upright(value) + 4, written, "tick", "end")
    c.text(0, 14, f"{result['metric']['label']}, mean over seeds", "muted")
    at = {entry: (along(costs[entry]), upright(facts["mean"])) for entry, facts in entries.items()}
    for entry, (x, y) in at.items():
        c.dot(x, y, 4.5, "mean", f"{entry}: {said(entries[entry])}, {label} {text_of(costs[entry])}")
    for entry, x, y, anchor in _labels(at, width):
        c.text(x, y, entry, "name", anchor)
    axis(c, along, height - 50, label, wanted=6 if width > 500 else 4)
    told = "; ".join(f"{entry}: {text_of(costs[entry])}, {said(facts)}" for entry, facts in entries.items())
    return c.svg(height - 4, f"{result['metric']['label']} against {label}", told, name)


def between(facts: Plain) -> str:
    """Write the ranks between which an entry lies."""
    low, high = facts["between"]
    return f"{low}" if low == high else f"{low} to {high}"


def standing(facts: Plain) -> str:
    """Say an entry's rank, and between which it lies where that is more than one."""
    low, high = facts["between"]
    return f"rank {facts['rank']}" + ("" if low == high else f" ({low} to {high})")


def said(facts: Plain, places: int | None = None) -> str:
    """Say an entry's score with its interval, in so many decimals, or as many as its interval supports."""
    if not facts["interval"]:
        return text_of(facts["mean"], places)
    low, high = facts["interval"]
    places = decimals((high - low) / 2) if places is None else places
    return f"{text_of(facts['mean'], places)} [{text_of(low, places)}, {text_of(high, places)}]"


def _scale(result: Plain, start: float, end: float) -> Scale:
    """The scores' scale: all seeds and intervals, cut at the metric's ceiling, and at its floor where no seed is below."""
    metric = result["metric"]
    values = [v for facts in result["entries"].values() for v in (*facts["scores"], *(facts["interval"] or ()))]
    seeds = [v for facts in result["entries"].values() for v in facts["scores"]]
    low, high = min(values), max(values)
    if metric["ceiling"] is not None:
        high = max(min(high, metric["ceiling"]), max(seeds))
    if metric["floor"] is not None:
        low = min(max(low, metric["floor"]), min(seeds))
    room = (high - low or abs(high) or 1.0) * 0.04
    return Scale(low - room, high + room, start, end)


def _labels(at: Mapping[str, tuple[float, float]], width: float) -> list[tuple[str, float, float, str]]:
    """Put names beside their dots where they meet no other dot or name; one that finds no place is left to the dot's title."""
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in at.values()]
    placed = []
    for entry, (x, y) in at.items():
        long = _LETTER * len(entry)
        for dx, dy, anchor in (
            (9, 4, "start"),
            (-9, 4, "end"),
            (0, -9, "middle"),
            (0, 18, "middle"),
            (8, -7, "start"),
            (-8, -7, "end"),
            (8, 15, "start"),
            (-8, 15, "end"),
        ):
            start = x + dx - {"start": 0.0, "middle": long / 2, "end": long}[anchor]
            spot = (start, y + dy - 10, start + long, y + dy + 2)
            if spot[0] >= 40 and spot[2] <= width and not any(_meet(spot, other) for other in taken):
                taken.append(spot)
                placed.append((entry, x + dx, y + dy, anchor))
                break
    return placed


def _meet(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
