"""``load(name)``: that data set with that checksum, or one sentence saying how to get it; never another one."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
import struct
import tarfile
import wave
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuropil.cache import cache_folder
from neuropil.data.catalogue import ENTRIES, Arrays, Entry, Form
from neuropil.data.content import Data, DataError, content_digest
from neuropil.data.fetch import download

_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, wave.Error, struct.error)
_KEPT = 2
_verified: OrderedDict[tuple[object, ...], Arrays] = OrderedDict()


@dataclass(frozen=True)
class Status:
    """One line of a table of data sets: ``where`` is a package, ``$NEUROPIL_DATA``, ``cache`` or ``not here``; ``megabytes`` to download."""

    name: str
    where: str
    about: str
    licence: str
    megabytes: float
    obtain: str


@dataclass(frozen=True)
class _Place:
    where: str
    form: Form
    paths: tuple[Path, ...]


def names() -> tuple[str, ...]:
    """Every name that ``load`` knows."""
    return tuple(ENTRIES)


def digest(name: str) -> str:
    """The SHA-256 that stands for a data set in registrations, known without having it.

    It is the ``content_digest`` of its arrays. Two exceptions: ``cifar10`` is verified by the SHA-256 of its canonical archive, and
    ``cifar10_jpeg`` by its arrays of JPEG bytes, before they are decoded.
    """
    return _entry(name).digest


def packaged(name: str) -> bool:
    """Whether an installed package carries the data set, so that no file or network is needed."""
    return _in_package(_entry(name)) is not None


def status(name: str) -> Status:
    """Where a data set is and how to get it, without reading it."""
    entry = _entry(name)
    place = _find(entry)
    return Status(name, place.where if place else "not here", entry.about, entry.licence, entry.megabytes, entry.obtain)


def load(name: str) -> Data:
    """Load a data set, verified by its checksum; the arrays are the caller's own to change.

    Looked for in installed packages, in the folder ``$NEUROPIL_DATA``, in the cache (``$NEUROPIL_CACHE`` or the system's cache folder),
    and at last downloaded from its canonical address with a progress bar.

    Raises ``DataError`` for an unknown name, for a data set that is not here, for a damaged or different file, and for a full disk.
    """
    entry = _entry(name)
    place = _find(entry)
    if place is None:
        place = _downloaded(entry)
    key = (name, *((path, path.stat().st_mtime_ns, path.stat().st_size) for path in place.paths))
    if key not in _verified:
        _verified[key] = _read(entry, place)
        while len(_verified) > _KEPT:
            _verified.popitem(last=False)
    _verified.move_to_end(key)
    arrays = {item: array.copy() for item, array in _verified[key].items()}
    return Data(name, arrays, entry.digest, f"{place.where} ({place.paths[0].name})", entry.licence, entry.cites)


def _entry(name: str) -> Entry:
    if name not in ENTRIES:
        near = difflib.get_close_matches(str(name), ENTRIES, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(f"There is no data set {name!r}; {hint}Known are {', '.join(ENTRIES)}.")
    return ENTRIES[name]


def _in_package(entry: Entry) -> _Place | None:
    if entry.package is None:
        return None
    module, distribution, _, form = entry.package
    spec = importlib.util.find_spec(module)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        paths = tuple(Path(root) / file for file in form.files)
        if all(path.is_file() for path in paths):
            return _Place(f"package {distribution}", form, paths)
    return None


def _in_folder(entry: Entry, folder: Path, where: str) -> _Place | None:
    for form in entry.forms:
        for root in (folder, folder / entry.name):
            paths = tuple(root / file for file in form.files)
            if all(path.is_file() for path in paths):
                return _Place(where, form, paths)
    return None


def _find(entry: Entry) -> _Place | None:
    if place := _in_package(entry):
        return place
    if given := os.environ.get("NEUROPIL_DATA"):
        folder = Path(given).expanduser()
        if not folder.is_dir():
            raise DataError(
                f"$NEUROPIL_DATA is {given!r}, which is not a folder; set it to the folder that holds the data sets, or unset it."
            )
        if place := _in_folder(entry, folder, "$NEUROPIL_DATA"):
            return place
    return _in_folder(entry, cache_folder(), "cache")


def _downloaded(entry: Entry) -> _Place:
    if not entry.downloads:
        raise DataError(f"{entry.name} is not on this machine; {entry.obtain}.")
    place = _in_folder(entry, download(entry), "cache")
    if place is None:
        raise DataError(f"{entry.name} was downloaded and has gone from the cache since; load it again.")
    return place


def _read(entry: Entry, place: _Place) -> Arrays:
    files = ", ".join(str(path) for path in place.paths[:1]) + (f" and {len(place.paths) - 1} more" if len(place.paths) > 1 else "")
    remedy = {
        "$NEUROPIL_DATA": f"replace it, or take it away and {entry.obtain}",
        "cache": "delete it and load again",
    }.get(place.where, f"install another version of {place.where.removeprefix('package ')}: this one carries other data")
    try:
        found = _file_digest(place.paths) if entry.archive else ""
        arrays = {} if entry.archive and found != entry.digest else place.form.read(place.paths)
        found = found or content_digest(arrays)
    except _UNREADABLE as error:
        raise DataError(f"{files} is damaged or not {entry.name} ({type(error).__name__}: {error}); {remedy}.") from None
    if found != entry.digest:
        raise DataError(f"{files} is not {entry.name}: expected digest {entry.digest[:12]}, found {found[:12]}; {remedy}.")
    return entry.unpack(arrays)


def _file_digest(paths: Sequence[Path]) -> str:
    with paths[0].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
