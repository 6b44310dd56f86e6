"""The list of reading guides, with how much of each text stands here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuropil.atlas.guides import READ, guides
from neuropil.atlas.guides.standing import LEVELS, level
from neuropil.atlas.pages.site.gathering import Atlas
from neuropil.atlas.pages.templates import environment, style


def guide_index(atlas: Atlas, site: Mapping[str, Any]) -> str:
    """Write the page; reviews and positions without a guide are listed too."""
    written = guides()
    have = {guide.slug for guide in written}
    found = []
    for guide in written:
        levels = [level(entry, lambda slug: atlas.by_slug[slug].record) for entry in guide.entries]
        found.append(
            {
                "paper": atlas.by_slug[guide.slug],
                "read": READ[guide.read],
                "argues": guide.argues.partition(". ")[0].rstrip(".") + ".",
                "levels": levels,
                "counts": ", ".join(f"{levels.count(name)} {name}" for name in LEVELS if name in levels),
                "n": len(levels),
            }
        )
    return (
        environment()
        .get_template("guides.html.j2")
        .render(
            css=style("guide.css"),
            site=site,
            guides=found,
            levels=LEVELS.items(),
            others=[paper for paper in atlas.papers if paper.row.kind == "guide" and paper.row.slug not in have],
        )
    )
