"""The page of one row: what the paper claims, the parts it is made of, its reference, its neighbours; nothing that was not run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuropil.atlas.catalogue import cite
from neuropil.atlas.pages.report import paper_link
from neuropil.atlas.pages.site.gathering import Paper
from neuropil.atlas.pages.site.index_page import FIDELITY
from neuropil.atlas.pages.site.library import about, library
from neuropil.atlas.pages.templates import environment, style


def row_page(paper: Paper, site: Mapping[str, Any]) -> str:
    """Write the page."""
    row, bibtex = paper.row, cite(paper.row.slug)
    link, link_text = paper_link(bibtex)
    known = {name: library().get(name, "") for name in row.parts}
    return (
        environment()
        .get_template("row.html.j2")
        .render(
            css=style(),
            site=site,
            slug=row.slug,
            title=row.title,
            by=", ".join([*row.authors, str(row.year)]),
            link=link,
            link_text=link_text,
            repo=row.repo,
            claim=row.claim,
            kind=row.kind,
            word=paper.word,
            said=paper.said,
            fidelity=FIDELITY.get(paper.record["fidelity"], ""),
            parts={
                "built": [(full, about(full)) for full in known.values() if full],
                "missing": [name for name, full in known.items() if not full],
            },
            bibtex=bibtex.strip(),
        )
    )
