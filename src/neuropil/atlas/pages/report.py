"""One study, one page: a self-contained HTML file made from the stored result, read the same on a phone, in the dark and on paper."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from neuropil.atlas.catalogue import Row
from neuropil.atlas.conduct.result import per_seed_csv
from neuropil.atlas.files import write_text
from neuropil.atlas.pages import tables
from neuropil.atlas.pages.beside import scales, strongest
from neuropil.atlas.pages.figures import Drawn, draw_all
from neuropil.atlas.pages.templates import environment, style
from neuropil.atlas.pages.view import shown_of, table_of, verdict_of, view
from neuropil.atlas.pages.wording import STANDING, Plain
from neuropil.atlas.study import Study

__all__ = ["Glance", "paper_link", "render", "render_tour", "table_of", "write"]

_DOI = re.compile(r"\bdoi\s*=\s*[{\"]\s*(10\.[^}\"\s]+)", re.IGNORECASE)
_ARXIV = re.compile(r"arXiv[:\s]*(?:preprint\s+arXiv:)?\s*(\d{4}\.\d{4,5})|eprint\s*=\s*[{\"](\d{4}\.\d{4,5})", re.IGNORECASE)
Glance = tuple[Plain, Study | None, Row | Mapping[str, Any] | None, Plain | None]


def render(
    result: Plain,
    *,
    study: Study | None = None,
    row: Row | Mapping[str, Any] | None,
    bibtex: str,
    ledger: Sequence[Plain],
    tuning: Plain | None = None,
    remarks: str = "",
    figures: Sequence[Drawn] | None = None,
    lesion: str | None = None,
    others: Sequence[Plain] = (),
    standing: str = "fresh",
    site: Mapping[str, Any] | None = None,
) -> str:
    """Write a result's page.

    ``study`` adds its own figures, or ``figures`` are given as they were drawn; ``row`` title and authors, ``ledger`` the looks, ``tuning``
    the record of this result's budget, ``remarks`` (``remarks.md`` beside the result) what was learned after the run, in plain text; the
    result itself is never edited. ``lesion`` names the lesioned arm, ``others`` are the study's other registered results, ``standing`` says
    whether the code is still that of the result (``index.standing``), ``site`` is the page's place in a site.
    The same input gives the same bytes. Raises ``AtlasError`` for something that is no result.
    """
    facts, trials = tables.tuning(tuning) if tuning else (None, None)
    found = table_of(result)
    shown = view(
        result,
        found,
        row=row,
        title=study.title if study else "",
        ledger=ledger,
        figures=draw_all(study, found, "s") if figures is None else figures,
        name="s",
    )
    link, link_text = paper_link(bibtex)
    registered = [r for r in (*others, result) if r["registration"]]
    return (
        environment()
        .get_template("study.html.j2")
        .render(
            shown
            | {
                "css": style(),
                "site": site,
                "standing": STANDING[standing],
                "stale": standing == "stale",
                "link": link,
                "link_text": link_text,
                "csv": "data:text/csv;charset=utf-8," + quote(per_seed_csv(dict(result))),
                "gate": result["gate"],
                "arms": tables.arms(result, found),
                "settings": tables.settings(result),
                "contrasts": tables.contrasts(result, shown["shown"]),
                "has_secondary": any(c["role"] == "secondary" for c in result["contrasts"]),
                "contrast_notes": [
                    f"{c['a']} against {c['b']} on {c['on']}: {c['note']}"
                    for c in result["contrasts"]
                    if c["note"] and c["role"] == "secondary"
                ],
                "paper": tables.paper(result) + ([("Remarks added after the run", remarks)] if remarks else []),
                "values": tables.paper_value(result, found),
                "strongest": strongest(result, found, lesion=study.lesion.arm if study else lesion),
                "scales": scales(sorted(registered, key=lambda r: int(r["registration"]["number"]))),
                "budget": result["budget"]["name"],
                "registration": tables.registration(result) if result["registration"] else None,
                "by_hand": ", ".join(f"{place} = {value}" for place, value in result.get("set", {}).items()),
                "tuning": facts,
                "tuning_table": trials,
                "ledger": tables.ledger_table(ledger),
                "provenance": tables.provenance(result),
                "bibtex": bibtex.strip(),
            }
        )
    )


def render_tour(glances: Sequence[Glance]) -> str:
    """Write the page of ``neuropil tour``: for each study its glance's result, the study, its catalogue row, and its committed result if any."""
    studies = []
    for index, (result, study, row, committed) in enumerate(glances):
        name = f"t{index}"
        found = table_of(result)
        figures = draw_all(study, found, name)
        shown = view(result, found, row=row, title=study.title if study else "", ledger=(), figures=figures, name=name)
        studies.append(shown | {"committed": verdict_of(committed, shown_of(committed), (), "") if committed else None})
    return environment().get_template("tour.html.j2").render(css=style(), site=None, studies=studies)


def write(path: Path, html: str) -> None:
    """Write a page, whole or not at all."""
    write_text(path, html)


def paper_link(bibtex: str) -> tuple[str, str]:
    """Find where the paper can be read: by its DOI, else by its arXiv number; two empty texts where neither is known."""
    if found := _DOI.search(bibtex):
        return f"https://doi.org/{found[1]}", f"doi:{found[1]}"
    if found := _ARXIV.search(bibtex):
        number = found[1] or found[2]
        return f"https://arxiv.org/abs/{number}", f"arXiv:{number}"
    return "", ""
