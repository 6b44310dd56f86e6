"""One row of the catalogue: what it says of a paper, how it is read from a file, what can be wrong with it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
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

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_WORDS = ("slug", "title", "cites", "family", "tier", "kind", "claim")
_LISTS = ("authors", "parts", "mechanisms", "problems", "areas")


@dataclass(frozen=True)
class Row:
    """One paper: what it is, what it claims, and what it is about.

    ``cites`` is its key in references.bib; ``authors`` is empty where they are not recorded; ``repo`` is the authors' GitHub repository.
    ``tier`` says how near to mechanisms from the brain it stands: core, field, edge, or guide (a review or position, nothing to run).
    ``mechanisms``, ``problems`` and ``areas`` (brain areas or systems) are short tags, by which ``search`` finds it.
    ``package`` is the installed package that the row comes from; empty for the catalogue's own.
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
    package: str = ""

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


def read_rows(path: Path, package: str = "") -> tuple[Row, ...]:
    """Read rows, one JSON object a line; raises ``AtlasError`` naming the file, and the line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise AtlasError(f"{path} does not exist; it holds the rows, one JSON object a line.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AtlasError(f"{path} cannot be read ({error}); install it again.") from None
    return tuple(_row(line, f"{path}, line {number}", package) for number, line in enumerate(lines, 1) if line.strip())


def _row(line: str, where: str, package: str) -> Row:
    try:
        plain: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise AtlasError(f"{where}, is not JSON ({error.msg}); a row is one JSON object on one line.") from None
    expected = (*_WORDS, "year", "repo", *_LISTS)
    if not isinstance(plain, dict) or set(plain) != set(expected):
        given = ", ".join(sorted(set(expected) ^ set(plain))) if isinstance(plain, dict) else type(plain).__name__
        raise AtlasError(f"{where}, has other fields than a row ({given}); the fields are {', '.join(expected)}.")
    sound = {name: isinstance(plain[name], str) for name in _WORDS}
    sound |= {"year": isinstance(plain["year"], int), "repo": plain["repo"] is None or isinstance(plain["repo"], str)}
    sound |= {name: isinstance(plain[name], list) and all(isinstance(part, str) for part in plain[name]) for name in _LISTS}
    if wrong := [name for name, good in sound.items() if not good]:
        raise AtlasError(
            f"{where}: {wrong[0]} is {plain[wrong[0]]!r}; texts are texts, year a whole number, repo a text or null, the others lists of texts."
        )
    values: dict[str, Any] = {name: tuple(value) if name in _LISTS else value for name, value in plain.items()}
    return Row(**values, package=package)


def faults(entries: Sequence[Row], keys: Collection[str]) -> list[str]:
    """What is wrong with rows against the keys of a bibliography, a sentence each; empty when sound."""
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
