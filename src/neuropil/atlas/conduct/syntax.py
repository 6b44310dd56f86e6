"""What a Python file says, read without importing it: its syntax tree without docstrings, its imports, the fidelity its study declares.

``Memory`` keeps this in the cache folder, so that hundreds of files are read once and after that only asked for their size and times.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import hashlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.kept import keep, kept
from neuropil.cache import cache_folder

Import = tuple[str | None, tuple[str, ...] | None, int]
"""``import module`` is (module, None, 0); ``from ..module import a, b`` is (module, ("a", "b"), 2)."""
_SETTLED = 2_000_000_000
"""Nanoseconds that a file must have been left alone: one written twice within a tick of the clock may keep its size and times."""
_MOST_CODES = 4096


_PARSING = threading.Lock()


def parse(text: str) -> ast.Module:
    """Give a text's syntax tree; raises ``SyntaxError``.

    Python below 3.11.8 counts the depth of a tree in one place: what a collection of garbage calls in mid-parse, or lets another thread do, ends
    it in a ``SystemError`` though the text is fine if that parses too (CPython issue 106905). So nothing is collected meanwhile.
    """
    with _PARSING:
        collecting = gc.isenabled()
        gc.disable()
        try:
            return ast.parse(text)
        finally:
            if collecting:
                gc.enable()


@dataclass(frozen=True)
class Facts:
    """What one file says: the SHA-256 of its tree, its imports, the module each imported name is from, the ``fidelity=`` of its ``Study``."""

    tree: str
    imports: tuple[Import, ...]
    origins: Mapping[str, str]
    fidelity: str | None


def signature(path: Path) -> tuple[int, ...]:
    """Give what tells that a file was written: the times of its content and of its entry, its size, its inode."""
    found = path.stat()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def facts(path: Path) -> Facts:
    """Read a file; raises ``AtlasError`` where it is not Python."""
    return _read(path, signature(path))[1]


def tree(path: Path) -> str:
    """Give a file's syntax tree as text, docstrings and comments left out; raises ``AtlasError`` where it is not Python."""
    return _read(path, signature(path))[0]


@lru_cache(maxsize=512)
def _read(path: Path, _written: tuple[int, ...]) -> tuple[str, Facts]:
    try:
        parsed = parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise AtlasError(f"{path} is not valid Python (line {error.lineno}: {error.msg}); mend it and run again.") from None
    imports: list[Import] = []
    origins: dict[str, str] = {}
    fidelity = None
    for node in ast.walk(parsed):
        match node:
            case ast.Import():
                imports += [(alias.name, None, 0) for alias in node.names]
            case ast.ImportFrom():
                imports.append((node.module, tuple(alias.name for alias in node.names), node.level))
                for alias in node.names if node.module else ():
                    origins.setdefault(alias.asname or alias.name, str(node.module))
            case ast.Call(func=ast.Name(id="Study")):
                fidelity = next(
                    (str(k.value.value) for k in node.keywords if k.arg == "fidelity" and isinstance(k.value, ast.Constant)), fidelity
                )
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                match node.body:
                    case [ast.Expr(value=ast.Constant(value=str())), *rest]:
                        node.body = rest or [ast.Pass()]
    text = ast.dump(parsed)
    return text, Facts(hashlib.sha256(text.encode()).hexdigest(), tuple(imports), origins, fidelity)


class Memory:
    """Facts of files and hashes of code, kept on disk between processes; what is not known, or was written since, is read.

    A file that is torn, or of another Python or neuropil, counts for nothing. Of two that write at once the last one stays, which loses time
    and no truth.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_folder() / "code" / f"{sys.implementation.cache_tag}-{_this_code()}.json"
        plain = self._stored()
        self._files: dict[str, list[Any]] = plain["files"]
        self._codes: dict[str, str] = plain["codes"]
        self._changed = False

    def facts(self, path: Path) -> Facts:
        """Give a file's facts, remembered where the file was not written since."""
        written = signature(path)
        known = self._files.get(str(path))
        if known and tuple(known[0]) == written:
            imports = tuple((module, None if names is None else tuple(names), level) for module, names, level in known[2])
            return Facts(known[1], imports, known[3], known[4])
        found = facts(path)
        if max(written[:2]) < time.time_ns() - _SETTLED and signature(path) == written:
            self._files[str(path)] = [written, found.tree, found.imports, found.origins, found.fidelity]
            self._changed = True
        return found

    def code(self, key: str) -> str | None:
        """Give the hash of code that was remembered under ``key``."""
        return self._codes.get(key)

    def remember(self, key: str, code: str) -> None:
        """Keep a hash of code under ``key``, which must name all that it is made from."""
        self._codes[key] = code
        self._changed = True

    def save(self) -> None:
        """Write what was learned, joined with what others wrote meanwhile."""
        if not self._changed:
            return
        plain = self._stored()
        files = {path: known for path, known in {**plain["files"], **self._files}.items() if Path(path).exists()}
        codes = list({**plain["codes"], **self._codes}.items())[-_MOST_CODES:]
        keep(self.path, {"files": files, "codes": dict(codes)})
        self._changed = False

    def _stored(self) -> dict[str, Any]:
        return kept(self.path) or {"files": {}, "codes": {}}


@contextlib.contextmanager
def memory() -> Iterator[Memory]:
    """Open the memory of this machine, and save what was learned."""
    opened = Memory()
    try:
        yield opened
    finally:
        opened.save()


@lru_cache(maxsize=1)
def _this_code() -> str:
    """The version of the form that is kept: this file itself."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
