"""One guide, one page: a review's map with what stands for each entry here, self-contained, in the house style."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from neuropil.atlas.catalogue import cite
from neuropil.atlas.catalogue import row as find_row
from neuropil.atlas.guides.form import READ, Dispute, Entry, Guide, Prediction
from neuropil.atlas.guides.standing import LEVELS, Records, counted, level, paper, standing
from neuropil.atlas.index import record as find_record
from neuropil.atlas.pages.templates import environment, style

Link = Callable[[str], str | None]


def render_guide(
    guide: Guide,
    *,
    link: Link | None = None,
    part_link: Link | None = None,
    records: Records | None = None,
    site: Mapping[str, Any] | None = None,
) -> str:
    """Write a guide's page.

    ``link`` gives where the page of a slug is, ``part_link`` where the reference of a part is; ``None`` from either leaves the name without
    a link. ``records`` gives what the index knows of a slug (by default it is read from the committed results), ``site`` is the page's place
    in a site, as for a study's page. The same input gives the same bytes.
    """
    records = records or (lambda slug: find_record(find_row(slug)))
    row, own = find_row(guide.slug), paper(find_row(guide.slug).cites)

    def stands(item: Entry | Prediction | Dispute) -> dict[str, Any]:
        return {
            "parts": [{"name": part, "link": part_link(part) if part_link else None} for part in getattr(item, "parts", ())],
            "studies": [_study(slug, records, link) for slug in item.studies],
        }

    def entry(found: Entry) -> dict[str, Any]:
        reached = level(found, records)
        facts = {"id": _id(found.name), "name": found.name, "where": found.where, "says": found.says, "open": found.open}
        return facts | stands(found) | {"level": reached, "meaning": LEVELS[reached]}

    return (
        environment()
        .get_template("guide.html.j2")
        .render(
            css=style("guide.css"),
            site=site,
            bibtex=cite(guide.slug),
            slug=guide.slug,
            title=row.title,
            by=", ".join([*row.authors, str(row.year)]),
            link=f"https://doi.org/{own.doi}" if own.doi else "",
            link_text=f"doi:{own.doi}",
            argues=guide.argues,
            read=READ[guide.read],
            source=guide.source,
            counted=counted(guide.coverage),
            levels=LEVELS.items(),
            order=guide.order,
            sections=[
                {"id": f"section-{index}", "title": section.title, "entries": [entry(found) for found in section.entries]}
                for index, section in enumerate(guide.sections, 1)
            ],
            predictions=[{"says": p.says, "contrast": p.contrast} | stands(p) for p in guide.predictions],
            disputes=[{"says": d.says, "papers": [paper(key) for key in d.cites]} | stands(d) for d in guide.disputes],
        )
    )


def _study(slug: str, records: Records, link: Link | None) -> dict[str, Any]:
    record = records(slug)
    return {
        "slug": slug,
        "title": record["title"],
        "link": link(slug) if link else None,
        "standing": standing(record),
        "verdict": record["verdict"] or "",
    }


def _id(name: str) -> str:
    return "entry-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
