"""What travels with a cell to another machine: where its experiment is written, and the text of the user's own files, unpacked there anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from neuropil.atlas.board.source import AssaySource
from neuropil.atlas.conduct.fingerprint import named
from neuropil.atlas.conduct.loading import Origin, Source
from neuropil.atlas.conduct.modules import package_of
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import PACKAGE
from neuropil.packages import packages

OURS, THEIRS = "neuropil", ""


@dataclass(frozen=True)
class Luggage:
    """An ``origin`` whose file is named relative to ``base``: ``neuropil``, an installed package, or the folder that ``files`` are written to."""

    origin: Origin
    base: str
    files: tuple[tuple[str, str], ...] = ()


def pack(origin: Origin) -> Luggage:
    """Make an origin ready to travel; raise ``AtlasError`` for a file of the user's that cannot keep its name elsewhere."""
    file = origin.file
    if PACKAGE in file.parents:
        return Luggage(_moved(origin, file.relative_to(PACKAGE)), OURS, tuple(_entries(origin)))
    if package := package_of(file):
        return Luggage(_moved(origin, file.relative_to(package.folder)), package.name, tuple(_entries(origin)))
    return Luggage(_moved(origin, Path(file.name)), THEIRS, tuple(dict([*_texts(file, Path()), *_entries(origin)]).items()))


def unpack(luggage: Luggage, folder: Path) -> Origin:
    """Write the user's files into the folder, which is the current one, and give the origin as it is on this machine.

    Raises ``AtlasError`` where the package that the experiment belongs to is not installed here.
    """
    for name, text in luggage.files:
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    base = {OURS: PACKAGE, THEIRS: folder}.get(luggage.base) or next((p.folder for p in packages()[0] if p.name == luggage.base), None)
    if base is None:
        raise AtlasError(f"it lacks the package {luggage.base}; install it there.")
    return _moved(luggage.origin, base / luggage.origin.file)


def _moved(origin: Origin, file: Path) -> Origin:
    if isinstance(origin, AssaySource):
        return replace(origin, board=replace(origin.board, file=file))
    if isinstance(origin, Source):
        return replace(origin, file=file)
    raise TypeError(f"A study or a task of a board can be run elsewhere, {type(origin).__name__} was given.")


def _texts(file: Path, under: Path) -> list[tuple[str, str]]:
    """Read a user's file and what it imports beside it; each is named by where it lies, below ``under``."""
    beside = [(file.name if name == "study" else name, path) for name, path in named(file) if not name.startswith("neuropil.")]
    return [((under / name).as_posix(), path.read_text(encoding="utf-8")) for name, path in beside]


def _entries(origin: Origin) -> list[tuple[str, str]]:
    """Read the files of a board's entries that are the user's own, ``FILE.py:Class``."""
    texts = []
    for entry in (origin.entries or ()) if isinstance(origin, AssaySource) else ():
        path = Path(entry.rpartition(":")[0])
        if path.suffix != ".py":
            continue
        if path.is_absolute() or ".." in path.parts:
            raise AtlasError(
                f"The entry {entry} keeps its name on no other machine; go to a folder above its file and write the path from there."
            )
        texts += _texts(path.resolve(), path.parent)
    return texts
