"""The catalogue: every paper of the atlas as one row, and its entry in the bibliography; the one place for titles, years and authors."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from difflib import SequenceMatcher, get_close_matches
from functools import cache
from pathlib import Path

from neuropil.atlas.catalogue.adoption import Adopted, adopt, bibliography
from neuropil.atlas.catalogue.row import FAMILIES, KINDS, TIERS, Row, faults, read_rows
from neuropil.atlas.errors import AtlasError
from neuropil.packages import packages

__all__ = [
    "FAMILIES",
    "KINDS",
    "TIERS",
    "Row",
    "adopted",
    "cite",
    "nearest",
    "own_rows",
    "parse_bibtex",
    "references",
    "row",
    "rows",
    "study_path",
    "validate",
]

_HERE = Path(__file__).resolve()
_DATA = _HERE.with_name("rows.jsonl")
_PACKAGE = _HERE.parents[2]
_ENTRY = re.compile(r"^@\w+\{\s*([^,\s]+)\s*,", re.MULTILINE)


@cache
def own_rows() -> tuple[Row, ...]:
    """The catalogue's own rows, by family, then slug."""
    return read_rows(_DATA)


@cache
def adopted() -> Adopted:
    """What installed packages add."""
    return adopt(own_rows(), list(references()) if packages()[0] else [])


@cache
def rows() -> tuple[Row, ...]:
    """All rows, those of installed packages among them, by family, then slug."""
    return tuple(sorted((*own_rows(), *adopted().rows), key=lambda row: (row.family, row.slug)))


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
    entry = row(slug)
    home = adopted().packages[entry.package].folder if entry.package else _PACKAGE
    path = home / "studies" / entry.family / f"{slug.replace('-', '_')}.py"
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
    entry = row(slug)
    own = parse_bibtex(bibliography(adopted().packages[entry.package])) if entry.package else {}
    known = {**references(), **own}
    if entry.cites not in known:
        raise AtlasError(f"{slug!r} cites {entry.cites!r}, which references.bib lacks; add that entry.")
    return known[entry.cites]


def validate(entries: Sequence[Row] | None = None, keys: Collection[str] | None = None) -> list[str]:
    """What is wrong with the catalogue (or with ``entries`` against the bibliography ``keys``), a sentence each; empty when sound."""
    return faults(own_rows() if entries is None else entries, references() if keys is None else keys)
