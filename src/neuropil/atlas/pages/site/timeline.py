"""The timeline: every paper by year and family, the tested ones marked by their verdict; a picture, and the same as a table of links."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from neuropil.atlas.catalogue import FAMILIES
from neuropil.atlas.index import VERDICTS
from neuropil.atlas.pages.canvas import Canvas
from neuropil.atlas.pages.drawing import NARROW
from neuropil.atlas.pages.site.gathering import Atlas, Paper
from neuropil.atlas.pages.templates import environment, style

_STEP = 8.6
"""Pixels from one dot to the next."""
_WIDE = 992


def timeline_page(atlas: Atlas, site: Mapping[str, Any]) -> str:
    """Write the page."""
    years = list(range(min(p.row.year for p in atlas.papers), max(p.row.year for p in atlas.papers) + 1))
    cells: dict[tuple[str, int], list[Paper]] = {(family, year): [] for family in FAMILIES for year in years}
    for paper in atlas.papers:
        cells[paper.row.family, paper.row.year].append(paper)
    words = [word for word in VERDICTS if any(paper.word == word for paper in atlas.studied)]
    return (
        environment()
        .get_template("timeline.html.j2")
        .render(
            css=style("site/timeline.css"),
            site=site,
            total=len(atlas.papers),
            studied=len(atlas.studied),
            first=years[0],
            last=years[-1],
            charts={"wide": chart(cells, years, _WIDE), "narrow": chart(cells, years, NARROW)},
            words=[(word, _sample(word)) for word in [*words, "implemented", "guide", "catalogued"]],
            years=years,
            rows=[_row(family, years, cells) for family in FAMILIES],
            sums=[sum(len(cells[family, year]) for family in FAMILIES) for year in years],
        )
    )


def chart(cells: Mapping[tuple[str, int], Sequence[Paper]], years: Sequence[int], width: float) -> Markup:
    """Draw one dot a paper, a column a year and a lane a family; every dot leads to its page. For eyes: the table says the same."""
    left = 0 if width < 500 else 92
    column = (width - left) / len(years)
    across = max(1, int((column - 4) / _STEP))
    c, y = Canvas(width), 22.0
    for index, year in enumerate(years):
        if width >= 500 or (years[-1] - year) % 2 == 0:
            c.text(left + column * (index + 0.5), 12, str(year) if width >= 500 else f"\u2019{year % 100:02d}", "tick", "middle")
    for family in FAMILIES:
        deepest = max(math.ceil(len(cells[family, year]) / across) for year in years)
        top, height = y, _STEP * max(1, deepest) + 14
        if not left:
            c.text(0, y + 13, family, "arm")
            top += 16
        c.line(0, y, width, y, "grid")
        if left:
            c.text(0, y + height / 2 + 4, family, "arm")
        for index, year in enumerate(years):
            for place, paper in enumerate(
                sorted(cells[family, year], key=lambda p: (p.result is None, p.record["status"] != "implemented"))
            ):
                x = left + column * (index + 0.5) + _STEP * (place % across - (min(across, len(cells[family, year])) - 1) / 2)
                c.parts.append(str(_dot(paper, x, top + 7 + _STEP * (place // across + 0.5))))
        y = top + height
    c.line(0, y, width, y, "grid")
    return Markup('<svg viewBox="0 0 {w} {h}" width="{w}" height="{h}" class="timeline" aria-hidden="true">{parts}</svg>').format(
        w=f"{width:g}", h=f"{y + 1:.0f}", parts=Markup("".join(c.parts))
    )


def _dot(paper: Paper, x: float, y: float) -> Markup:
    return Markup(
        '<a href="{link}" tabindex="-1"><circle cx="{x}" cy="{y}" r="{r}" class="paper {word}"><title>{title}, {by}: {said}</title></circle></a>'
    ).format(
        link=paper.page,
        x=f"{x:.1f}",
        y=f"{y:.1f}",
        r="4" if paper.result else "3",
        word=paper.word,
        title=paper.row.title,
        by=paper.row.by,
        said=paper.said,
    )


def _sample(word: str) -> Markup:
    small = word in ("implemented", "guide", "catalogued")
    return Markup(
        '<svg viewBox="0 0 12 12" width="12" height="12" class="timeline" aria-hidden="true"><circle cx="6" cy="6" r="{}" class="paper {}"/></svg>'
    ).format(3 if small else 4, word)


def _row(family: str, years: Sequence[int], cells: Mapping[tuple[str, int], Sequence[Paper]]) -> dict[str, Any]:
    found = [cells[family, year] for year in years]
    return {
        "family": family,
        "cells": [
            {"year": year, "n": len(papers), "tested": sum(p.result is not None for p in papers)}
            for year, papers in zip(years, found, strict=True)
        ],
        "total": sum(map(len, found)),
        "tested": sum(p.result is not None for papers in found for p in papers),
    }
