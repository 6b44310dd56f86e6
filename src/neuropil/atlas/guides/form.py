"""The form of a guide: its sections, entries, predictions and disputes, read strictly from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from neuropil.atlas.errors import AtlasError

READ = {
    "whole": "the whole text",
    "part": "a part of the text",
    "abstract": "the abstract and what others say of the text",
}
"""How much of the text its guide was written from."""


@dataclass(frozen=True)
class Entry:
    """One thing that the text maps: what it ``says`` of it, in our words, and what here stands for it.

    ``parts`` are public names (``neuropil.cells.LIF``), ``studies`` slugs of the catalogue, implemented or not. Where there is neither,
    ``open`` says what would fill the entry; an entry has links or is open, never both. ``where`` is the text's own section, if known.
    """

    name: str
    says: str
    where: str = ""
    parts: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    open: str = ""


@dataclass(frozen=True)
class Section:
    """A group of entries under a title of ours."""

    title: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Prediction:
    """What follows from the text and can be found wrong: the ``contrast`` that would test it, and what it could be built from."""

    says: str
    contrast: str
    parts: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dispute:
    """Where evidence, most of it later than the text, disagrees with it or limits it: by a study here or a key of references.bib."""

    says: str
    studies: tuple[str, ...] = ()
    cites: tuple[str, ...] = ()


@dataclass(frozen=True)
class Coverage:
    """How many entries a guide has, how many are linked to a part, to a study, and how many are open."""

    entries: int
    parts: int
    studies: int
    open: int


@dataclass(frozen=True)
class Guide:
    """A reading guide to one text of the catalogue.

    ``read`` says how much of the text it was written from (a key of ``READ``), ``source`` what exactly was read; ``argues`` is the text's
    argument, ``order`` in which order to read it, and why.
    """

    slug: str
    read: str
    source: str
    argues: str
    order: tuple[str, ...]
    sections: tuple[Section, ...]
    predictions: tuple[Prediction, ...]
    disputes: tuple[Dispute, ...]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of all sections, in order."""
        return tuple(entry for section in self.sections for entry in section.entries)

    @property
    def coverage(self) -> Coverage:
        """Count what stands for the entries here."""
        found = self.entries
        return Coverage(
            len(found), sum(bool(e.parts) for e in found), sum(bool(e.studies) for e in found), sum(bool(e.open) for e in found)
        )

    @property
    def studies(self) -> tuple[str, ...]:
        """Every slug that is linked, once, in order."""
        linked: tuple[Entry | Prediction | Dispute, ...] = (*self.entries, *self.predictions, *self.disputes)
        return tuple(dict.fromkeys(slug for item in linked for slug in item.studies))

    @property
    def parts(self) -> tuple[str, ...]:
        """Every part that is linked, once, in order."""
        linked: tuple[Entry | Prediction, ...] = (*self.entries, *self.predictions)
        return tuple(dict.fromkeys(part for item in linked for part in item.parts))


_Form = TypeVar("_Form", Entry, Section, Prediction, Dispute, Guide)
_NESTED = {"sections": Section, "entries": Entry, "predictions": Prediction, "disputes": Dispute}


def read_guide(plain: Mapping[str, Any], slug: str, file: str) -> Guide:
    """Make a guide of plain data; raises ``AtlasError`` where a key is unknown, missing or of another type."""
    found = _read(Guide, {"slug": slug, **plain}, file)
    if found.slug != slug:
        raise AtlasError(f"{file} says slug {found.slug!r}; a guide has the name of its file, so leave `slug` out.")
    if found.read not in READ:
        raise AtlasError(f"{file} says read = {found.read!r}; accepted are {', '.join(READ)}.")
    return found


def _read(form: type[_Form], plain: Mapping[str, Any], place: str) -> _Form:
    known = {field.name: field for field in fields(form)}
    unknown = [key for key in plain if key not in known]
    if unknown:
        raise AtlasError(f"{place} has {unknown[0]!r}, which a guide does not know; accepted there are {', '.join(known)}.")
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name not in plain:
            if field.default is MISSING:
                raise AtlasError(f"{place} lacks {name!r}; write it.")
            continue
        values[name] = _value(name, plain[name], str(field.type), place)
    return form(**values)


def _value(name: str, given: Any, wanted: str, place: str) -> Any:
    if wanted == "str":
        if not isinstance(given, str):
            raise AtlasError(f"{place} gives {name!r} as {type(given).__name__}; write it as text.")
        return " ".join(given.split())
    if not isinstance(given, list):
        raise AtlasError(f"{place} gives {name!r} as {type(given).__name__}; write it as a list.")
    if name in _NESTED:
        nested: Any = _NESTED[name]
        tables = [item if isinstance(item, Mapping) else {} for item in given]
        names = [str(item.get("name") or item.get("title") or index + 1) for index, item in enumerate(tables)]
        return tuple(_read(nested, item, f"{place}, {name} {label!r}") for item, label in zip(tables, names, strict=True))
    if not all(isinstance(item, str) for item in given):
        raise AtlasError(f"{place} has something other than text in {name!r}; write a list of texts.")
    return tuple(" ".join(item.split()) for item in given)
