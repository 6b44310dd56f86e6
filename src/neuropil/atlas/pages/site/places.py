"""Where each page stands in the site: the navigation, the papers before and after it, related ones, guides that read it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any
from urllib.parse import quote

from neuropil.atlas.catalogue import row as find_row
from neuropil.atlas.guides import guides
from neuropil.atlas.pages.site.gathering import Atlas, Paper
from neuropil.atlas.pages.site.related import related
from neuropil.atlas.pages.templates import sheet

PAGES = (
    ("index.html", "Papers"),
    ("timeline.html", "Timeline"),
    ("statistics.html", "Statistics"),
    ("boards.html", "Boards"),
    ("guides.html", "Guides"),
)


def place(here: str) -> dict[str, Any]:
    """Give what the navigation of the page ``here`` needs, a path within the site."""
    return {"root": "../" * here.count("/"), "here": here, "section": _section(here), "pages": PAGES, "css": sheet("site/site.css")}


def _section(here: str) -> str:
    """Name the page of the navigation under which a page stands."""
    folder = here.partition("/")[0]
    return f"{folder}.html" if f"{folder}.html" in dict(PAGES) else "index.html" if "/" in here else here


def places(atlas: Atlas) -> dict[str, dict[str, Any]]:
    """Give every paper's place, by slug: navigation, tags, neighbours, related papers, guides."""
    near = related([paper.row for paper in atlas.papers])
    before_and_after = _neighbours(atlas)
    reading: dict[str, list[tuple[str, str]]] = {}
    for guide in guides():
        for slug in guide.studies:
            if slug != guide.slug:
                reading.setdefault(slug, []).append((find_row(guide.slug).title, f"../guides/{guide.slug}.html"))
    return {
        paper.row.slug: place(f"rows/{paper.row.slug}.html")
        | {
            "tags": _tags(paper),
            "related": [link(atlas.by_slug[slug]) | {"why": why} for slug, why in near[paper.row.slug]],
            "mentioned": reading.get(paper.row.slug, []),
            "neighbours": before_and_after[paper.row.slug],
            "neighbours_label": "Neighbouring studies" if paper.result else f"Neighbours in {paper.row.family}",
        }
        for paper in atlas.papers
    }


def link(paper: Paper) -> dict[str, str]:
    """Name a paper as a page one folder down links to it."""
    return {"title": paper.row.title, "by": paper.row.by, "link": f"../{paper.page}", "word": paper.word, "said": paper.said}


def _neighbours(atlas: Atlas) -> dict[str, list[tuple[str, str, dict[str, str]]]]:
    chains: list[Sequence[Paper]] = [atlas.studied]
    bare = [paper for paper in atlas.papers if not paper.result]
    chains += [list(group) for _, group in groupby(bare, key=lambda paper: paper.row.family)]
    found = {}
    for chain in chains:
        for index, paper in enumerate(chain):
            around = [("prev", "Before", chain[index - 1])] if index else []
            around += [("next", "After", chain[index + 1])] if index + 1 < len(chain) else []
            found[paper.row.slug] = [(rel, word, link(other)) for rel, word, other in around]
    return found


def _tags(paper: Paper) -> list[tuple[str, str]]:
    row = paper.row
    filtered = [("family", row.family), ("tier", row.tier), ("year", str(row.year))]
    return [(value, f"../index.html#{name}={value}") for name, value in filtered] + [
        (tag, f"../index.html#q={quote(tag)}") for tag in row.tags
    ]
