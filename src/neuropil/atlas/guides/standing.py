"""What stands for an entry here: how far it is from a mere link to a verdict; and the papers outside the catalogue that a guide cites."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from neuropil.atlas.catalogue import references
from neuropil.atlas.guides.form import Coverage, Entry

Records = Callable[[str], Mapping[str, Any]]
"""Gives what the index knows of a slug."""
LEVELS = {
    "tested": "a study of it has a verdict here",
    "built": "a part or a study of it is here, without a verdict",
    "catalogued": "papers on it are catalogued, nothing was run",
    "open": "nothing here yet",
}
"""How far an entry has come, the furthest first."""
WITHHELD = ("descriptive", "unverifiable")
"""Words of a study that was run and gives no verdict."""


@dataclass(frozen=True)
class Paper:
    """A paper of references.bib for a line of text: ``by`` such as ``Ray and Maunsell 2010``, its title, its DOI if it has one."""

    key: str
    by: str
    title: str
    doi: str


def standing(record: Mapping[str, Any]) -> str:
    """Say in a word or three how a linked study stands here: its verdict, or that there is none yet."""
    if record["verdict"]:
        return str(record["verdict"]) + (" (stale)" if record["stale"] else "")
    return {"implemented": "no verdict yet", "guide": "a guide"}.get(str(record["status"]), "catalogued")


def level(entry: Entry, records: Records) -> str:
    """Tell which of ``LEVELS`` an entry has reached."""
    if entry.open:
        return "open"
    found = [records(slug) for slug in entry.studies]
    if any(record["verdict"] and record["verdict"] not in WITHHELD for record in found):
        return "tested"
    return "built" if entry.parts or any(record["status"] == "implemented" for record in found) else "catalogued"


def counted(coverage: Coverage) -> str:
    """Say what a guide covers in one line."""
    c = coverage
    return f"{c.entries} entries: {c.parts} with parts, {c.studies} with studies, {c.open} open"


def paper(key: str) -> Paper:
    """Look up a key of references.bib."""
    text = references()[key]
    names = [name.split(",")[0].strip() for name in _field(text, "author").split(" and ")]
    who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
    return Paper(key, f"{who} {_field(text, 'year')}".strip(), _field(text, "title"), _field(text, "doi"))


def _field(text: str, name: str) -> str:
    found = re.search(rf"^\s*{name}\s*=\s*\{{(.*)\}},?\s*$", text, re.MULTILINE)
    return re.sub(r"[{}]", "", found[1]) if found else ""
