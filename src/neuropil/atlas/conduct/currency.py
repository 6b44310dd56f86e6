"""Whether the code in memory is the code on disk, so that no number is kept under the hash of code that did not compute it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from neuropil.atlas.conduct.fingerprint import code_hash, named
from neuropil.atlas.conduct.syntax import facts, signature
from neuropil.atlas.errors import AtlasError

_BEGAN = time.time_ns()
_IMPORTED: dict[Path, str] = {}
"""What each file said, as the hash of its tree, when this process imported it."""
_UNKNOWN = ""
_HASHED: dict[Path, tuple[dict[Path, tuple[int, ...]], str]] = {}
"""For each file the files that count and when they were written, and their hash."""


@contextlib.contextmanager
def importing(file: Path) -> Iterator[None]:
    """Remember, around the import of a study, what its file and its parts said; what was in memory before keeps what is known of it."""
    said = _trees(file)
    before = _modules(said)
    yield
    for path, module in _modules(said).items():
        if module is not before.get(path):
            _IMPORTED[path] = said[path]
        elif path not in _IMPORTED:
            _IMPORTED[path] = said[path] if path.stat().st_mtime_ns < _BEGAN else _UNKNOWN


def refuse_changed(file: Path) -> None:
    """Raise ``AtlasError`` where the study's file or a part was written after this process imported it: the old code would pass for the new."""
    for path, tree in _trees(file).items():
        if _IMPORTED.get(path, tree) != tree:
            raise AtlasError(
                f"{path} changed on disk after it was imported; run the same again (in a notebook, restart the kernel first), finished cells are kept."
            )


def code_now(file: Path) -> str:
    """Give the hash of a file's code as it is on disk; read again only where it or a part was written since it was last asked."""
    known = _HASHED.get(file)
    if known is None or any(_signature(path) != written for path, written in known[0].items()):
        written = {path: _signature(path) for _, path in named(file)}
        known = _HASHED[file] = written, code_hash(file)
    return known[1]


def _signature(path: Path) -> tuple[int, ...]:
    try:
        return signature(path)
    except FileNotFoundError:
        return ()


def _trees(file: Path) -> dict[Path, str]:
    return {path: facts(path).tree for _, path in named(file)}


def _modules(paths: dict[Path, str]) -> dict[Path, ModuleType]:
    loaded = ((getattr(module, "__file__", None), module) for module in list(sys.modules.values()))
    return {path: module for file, module in loaded if file and (path := Path(file)) in paths}
