"""What a site is made of: every row of the catalogue with its record, its study's latest result and ledger, and where its page is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from neuropil.atlas.catalogue import Row, rows, study_path
from neuropil.atlas.conduct.fingerprint import Remembered
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.loading import Source
from neuropil.atlas.conduct.syntax import memory
from neuropil.atlas.files import read_json
from neuropil.atlas.guides import has_guide
from neuropil.atlas.index import head, index, result_paths
from neuropil.atlas.pages.wording import STANDING, Plain

BADGES = ("supported", "negligible", "reversed", "undecided")
"""The words that say something; *descriptive* and *unverifiable* say that nothing could be said."""


@dataclass(frozen=True)
class Paper:
    """One row of the catalogue as the site knows it; ``results`` are the heads of its registered results, the latest last."""

    row: Row
    record: dict[str, Any]
    source: Source | None = None
    code: str = ""
    paths: tuple[Path, ...] = ()
    results: tuple[Plain, ...] = ()
    ledger: Sequence[Plain] = ()
    tuning: Plain | None = None

    @property
    def result(self) -> Plain | None:
        """The latest registered result."""
        return self.results[-1] if self.results else None

    @property
    def deciding(self) -> Plain | None:
        """The contrast that decided its verdict."""
        return self.result["contrasts"][self.result["verdict"]["decided_by"]] if self.result else None

    @cached_property
    def page(self) -> str:
        """Where its page is within the site: its study's, its guide's, or the row's own."""
        if self.result:
            return f"studies/{self.row.slug}.html"
        return f"guides/{self.row.slug}.html" if has_guide(self.row.slug) else f"rows/{self.row.slug}.html"

    @property
    def word(self) -> str:
        """The verdict; else its status, ``implemented``, ``guide`` or ``catalogued``."""
        return str(self.record["verdict"] or self.record["status"])

    @property
    def said(self) -> str:
        """Its standing in words."""
        if self.record["verdict"]:
            assert self.result is not None
            return f"{self.word} at {self.result['budget']['name']} scale"
        return {"implemented": "implemented, no verdict yet", "guide": "reading guide", "catalogued": "catalogued only"}[self.word]

    @property
    def standing(self) -> str:
        """Whether its code is that of the result, in words; empty where it is."""
        return STANDING["stale" if self.record["stale"] else "carried" if self.record["carried"] else "fresh"]


@dataclass(frozen=True)
class Atlas:
    """All papers, in the catalogue's order."""

    papers: tuple[Paper, ...]
    by_slug: dict[str, Paper] = field(default_factory=dict)

    @property
    def studied(self) -> list[Paper]:
        """The papers with a registered result."""
        return [paper for paper in self.papers if paper.result]


def gather() -> Atlas:
    """Read catalogue, results, ledgers and tunings; loads no study and no torch."""
    records = {record["slug"]: record for record in index()}
    with memory() as known:
        code = Remembered(known)
        papers = tuple(_paper(row, records[row.slug], code) for row in rows())
    return Atlas(papers, {paper.row.slug: paper for paper in papers})


def _paper(row: Row, record: dict[str, Any], code: Remembered) -> Paper:
    file = study_path(row.slug)
    if file is None or record.get("problem"):
        return Paper(row, record)
    source = Source(row.slug, file)
    paths = tuple(result_paths(source.folder))
    results = tuple(head(path) for path in paths)
    tuning = source.folder / "tuning.json"
    tuned = read_json(tuning).get(results[-1]["budget"]["name"]) if results and tuning.exists() else None
    return Paper(row, record, source, code.code_hash(file), paths, results, Ledger(source.folder).entries(), tuned)
