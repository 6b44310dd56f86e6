"""A study's page from what lies on disk: its result, ledger, tuning and remarks; the one way of `neuropil report` and of the site."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from neuropil.atlas.catalogue import Row, cite
from neuropil.atlas.comparison.reading import read_result
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.loading import Source
from neuropil.atlas.conduct.registration import count, read
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import read_json
from neuropil.atlas.index import head, result_paths, standing
from neuropil.atlas.pages.figures import figures_of, undrawn
from neuropil.atlas.pages.report import render, table_of


class StudyPage(NamedTuple):
    """A page, and which of the study's own figures failed, and why; the page says so, too."""

    html: str
    undrawn: list[str]


def study_page(source: Source, path: Path, *, row: Row | None, code: str, site: Mapping[str, Any] | None = None) -> StudyPage:
    """Write the page of the result at ``path``, one of the study's own or one that `neuropil run --json` wrote.

    ``code`` is the hash of the study's code as it is now; ``row`` is ``None`` for a study of the user's own.
    """
    result, folder = read_result(path), source.folder
    if result["slug"] != source.slug:
        raise AtlasError(f"{path} is a result of {result['slug']}, and the page is of {source.slug}; name the study that it belongs to.")
    others = [head(other) for other in result_paths(folder)] if result["registration"] else []
    tuning, remarks = folder / "tuning.json", folder / "remarks.md"
    figures = figures_of(source, code, path.read_bytes(), lambda: table_of(result), "s")
    html = render(
        result,
        row=row,
        bibtex=cite(row.slug) if row else "",
        ledger=Ledger(folder).entries(),
        tuning=read_json(tuning).get(result["budget"]["name"]) if tuning.exists() else None,
        remarks=" ".join(remarks.read_text(encoding="utf-8").split()) if result["verdict"] and remarks.exists() else "",
        figures=figures,
        lesion=read(folder).frozen["lesion"]["arm"] if count(folder) else None,
        others=[other for other in others if other["registration"]["number"] != result["registration"]["number"]],
        standing=standing(code, result, Ledger(folder).entries()) if result["registration"] else "fresh",
        site=site,
    )
    return StudyPage(html, undrawn(figures))
