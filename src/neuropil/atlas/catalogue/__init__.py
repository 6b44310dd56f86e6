"""The catalogue: every paper of the atlas as one row, and its entry in the bibliography; the one place for titles, years and authors."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from difflib import SequenceMatcher, get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from neuropil.atlas.errors import AtlasError

FAMILIES = (
    "synapses",
    "cells",
    "plasticity",
    "memory",
    "learning",
    "continual",
    "networks",
    "growth",
    "interpret",
    "geometry",
    "brain",
    "agents",
)
TIERS = ("core", "field", "edge", "guide")
KINDS = ("mechanism", "rule", "model", "method", "measure", "finding", "benchmark", "tool", "guide")

_HERE = Path(__file__).resolve()
_DATA = _HERE.with_name("rows.jsonl")
_PACKAGE = _HERE.parents[2]
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_ENTRY = re.compile(r"^@\w+\{\s*([^,\s]+)\s*,", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One paper: what it is, what it claims, and what it is about.

    ``cites`` is its key in references.bib; ``authors`` is empty where they are not recorded; ``repo`` is the authors' GitHub repository.
    ``tier`` says how near to mechanisms from the brain it stands: core, field, edge, or guide (a review or position, nothing to run).
    ``mechanisms``, ``problems`` and ``areas`` (brain areas or systems) are short tags, by which ``search`` finds it.
    """

    slug: str
    title: str
    year: int
    authors: tuple[str, ...]
    cites: str
    repo: str | None
    family: str
    tier: str
    kind: str
    claim: str
    parts: tuple[str, ...]
    mechanisms: tuple[str, ...]
    problems: tuple[str, ...]
    areas: tuple[str, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """Mechanisms, problems and brain areas together."""
        return (*self.mechanisms, *self.problems, *self.areas)

    @property
    def by(self) -> str:
        """Authors and year for a line of text: ``Grimaldi and Perrinet 2023``, ``Man et al. 2022``, the year alone where unknown."""
        names = [name.split()[-1] for name in self.authors]
        who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        return f"{who} {self.year}".strip()


@cache
def rows() -> tuple[Row, ...]:
    """All rows, by family, then slug."""
    try:
        lines = _DATA.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise AtlasError(f"The catalogue {_DATA} cannot be read ({error.strerror}); reinstall neuropil.") from None
    names = [field.name for field in fields(Row)]
    listed = ("authors", "parts", "mechanisms", "problems", "areas")
    found = []
    for line in lines:
        plain: dict[str, Any] = json.loads(line)
        values: dict[str, Any] = {name: tuple(plain[name]) if name in listed else plain[name] for name in names}
        found.append(Row(**values))
    return tuple(found)


@cache
def _by_slug() -> dict[str, Row]:
    return {entry.slug: entry for entry in rows()}


def nearest(text: str, n: int = 3) -> list[str]:
    """Up to ``n`` slugs whose slug or title is spelled most like ``text``."""
    wanted = text.strip().lower()
    spelled = {name: slug for slug, entry in _by_slug().items() for name in (entry.title.lower(), slug)}
    inside = sorted((slug for name, slug in spelled.items() if len(wanted) > 2 and wanted in name), key=len)
    close = [spelled[name] for name in get_close_matches(wanted, spelled, n=2 * n, cutoff=0.6)]
    close.sort(key=lambda slug: -SequenceMatcher(None, wanted, slug).ratio())
    return list(dict.fromkeys([*inside, *close]))[:n]


def row(slug: str) -> Row:
    """The row of one slug; raises ``AtlasError`` with the nearest slugs where there is none."""
    found = _by_slug().get(slug)
    if found is None:
        close = nearest(slug)
        hint = f"the nearest are {', '.join(close)}" if close else "nothing is spelled like it"
        raise AtlasError(f"The catalogue has no study {slug!r}; {hint}; use one of its {len(rows())} slugs, or search by topic.")
    return found


def study_path(slug: str) -> Path | None:
    """The file of the study that implements this paper, or None where it is not implemented yet."""
    path = _PACKAGE / "studies" / row(slug).family / f"{slug.replace('-', '_')}.py"
    return path if path.is_file() else None


def parse_bibtex(text: str) -> dict[str, str]:
    """Split BibTeX text into its entries by key; raises ``AtlasError`` for a repeated key or an entry that does not close."""
    entries: dict[str, str] = {}
    for start in _ENTRY.finditer(text):
        depth = 0
        for position in range(text.index("{", start.start()), len(text)):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                break
        else:
            raise AtlasError(f"The entry {start[1]!r} in references.bib does not close; balance its braces.")
        if start[1] in entries:
            raise AtlasError(f"The key {start[1]!r} is twice in references.bib; give every entry its own key.")
        entries[start[1]] = text[start.start() : position + 1]
    return entries


@cache
def references() -> dict[str, str]:
    """The bibliography: BibTeX entries by key, from references.bib (beside the package when installed, at the root of a source tree)."""
    places = (_PACKAGE / "references.bib", _PACKAGE.parents[1] / "references.bib")
    for place in places:
        if place.is_file():
            return parse_bibtex(place.read_text(encoding="utf-8"))
    raise AtlasError(f"references.bib is at neither {places[0]} nor {places[1]}; reinstall neuropil.")


def cite(slug: str) -> str:
    """The BibTeX entry of a catalogued paper; raises ``AtlasError`` for an unknown slug."""
    key = row(slug).cites
    if key not in references():
        raise AtlasError(f"{slug!r} cites {key!r}, which references.bib lacks; add that entry.")
    return references()[key]


def validate(entries: Sequence[Row] | None = None, keys: Collection[str] | None = None) -> list[str]:
    """What is wrong with the catalogue (or with ``entries`` against the bibliography ``keys``), a sentence each; empty when sound."""
    entries = rows() if entries is None else entries
    keys = references() if keys is None else keys
    wrong = [f"slug {slug!r} is used {n} times" for slug, n in Counter(e.slug for e in entries).items() if n > 1]
    wrong += [f"key {key!r} is cited by {n} rows" for key, n in Counter(e.cites for e in entries).items() if n > 1]
    for entry in entries:
        checks = {
            f"slug {entry.slug!r} is not lower-case words joined by hyphens": not _SLUG.fullmatch(entry.slug),
            f"family {entry.family!r} is unknown": entry.family not in FAMILIES,
            f"tier {entry.tier!r} is unknown": entry.tier not in TIERS,
            f"kind {entry.kind!r} is unknown": entry.kind not in KINDS,
            f"year {entry.year!r} is not between 1900 and 2100": not 1900 <= entry.year <= 2100,
            "the title is empty": not entry.title.strip(),
            "the claim is empty": not entry.claim.strip(),
            "no mechanism is tagged": not entry.mechanisms,
            "no problem is tagged": not entry.problems,
            f"key {entry.cites!r} is not in references.bib": entry.cites not in keys,
            f"repository {entry.repo!r} is not owner/name": entry.repo is not None and entry.repo.count("/") != 1,
        }
        wrong += [f"{entry.slug}: {what}" for what, is_wrong in checks.items() if is_wrong]
    return wrong
