"""Find a board by its name or by the path of a user's own file, and load it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from neuropil.atlas.board.form import Assay, Board, nearest
from neuropil.atlas.conduct.fingerprint import code_hash
from neuropil.atlas.conduct.loading import writable
from neuropil.atlas.conduct.modules import module_at
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import PACKAGE, results_folder

__all__ = ["AssaySource", "BoardSource", "boards", "class_in", "find", "module_at"]


@dataclass(frozen=True)
class BoardSource:
    """Where a board is written. Cheap; loads nothing."""

    name: str
    file: Path

    @property
    def folder(self) -> Path:
        """The folder of its results."""
        return results_folder(self.file, f"boards/{self.name}")

    def writable(self) -> Path:
        """Give that folder for writing; raise ``AtlasError`` for a board of an installed neuropil, whose results came with it."""
        return writable(self.folder, f"The board {self.name}", "neuropil", "0:3")

    @property
    def code(self) -> str:
        """The hash of its code and of what it imports; the code of an entry is hashed with the entry."""
        return code_hash(self.file)

    def load(self) -> Board:
        """Import the file and give its ``board``; raise ``AtlasError`` where it has none or cannot be imported."""
        board = getattr(module_at(self.file), "board", None)
        if not isinstance(board, Board):
            raise AtlasError(f"{self.file} defines no board; it must hold `board = Board(...)` at its top level.")
        return board

    def on(self, task: str, entries: tuple[str, ...] | None = None) -> AssaySource:
        """One task of it, with these entries (all by default)."""
        return AssaySource(self, task, entries)


@dataclass(frozen=True)
class AssaySource:
    """Where one task of a board is written: what travels to workers."""

    board: BoardSource
    task: str
    entries: tuple[str, ...] | None = None

    @property
    def file(self) -> Path:
        """The board's file."""
        return self.board.file

    @property
    def code(self) -> str:
        """The hash of the board's code."""
        return self.board.code

    def file_of(self, arm: str) -> Path | None:
        """The file of an entry."""
        return _file_of(self, arm)

    def load(self) -> Assay:
        """Import the board and give its task."""
        return self.board.load().on(self.task, self.entries)


@cache
def _file_of(source: AssaySource, arm: str) -> Path | None:
    return source.board.load().on(source.task, (arm,)).entries[arm].file


def boards() -> dict[str, BoardSource]:
    """Every board that comes with neuropil, by name."""
    files = sorted((PACKAGE / "boards").glob("*.py"))
    return {name: BoardSource(name, file) for file in files if (name := _name_in(file))}


def _name_in(file: Path) -> str:
    """The file's stem where it defines a board, read without importing it."""
    return file.stem.replace("_", "-") if "\nboard = Board(" in file.read_text(encoding="utf-8") else ""


def find(reference: str) -> BoardSource:
    """Find a board by name or by path (anything that ends in ``.py``); raise ``AtlasError`` for an unknown one, with the nearest."""
    if reference.endswith(".py"):
        file = Path(reference).expanduser().resolve()
        if not file.is_file():
            raise AtlasError(
                f"There is no file {reference}; give the path of a .py file that defines `board = Board(...)`, or a board's name."
            )
        return BoardSource(BoardSource(file.stem, file).load().name, file)
    known = boards()
    if reference not in known:
        raise AtlasError(f"There is no board {reference!r}; {nearest(reference, known).replace('it has', 'there are')}.")
    return known[reference]


def class_in(reference: str, base: type) -> Any:
    """Give the class of ``FILE.py:Class``, a kind of ``base``; raise ``AtlasError`` where there is no such file or class."""
    path, _, name = reference.rpartition(":")
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise AtlasError(f"There is no file {path}; give a {base.__name__.lower()} of your own as FILE.py:Class.")
    cls = getattr(module_at(file), name, None)
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise AtlasError(f"{file.name} has no {base.__name__} named {name!r}; give a {base.__name__.lower()} of your own as FILE.py:Class.")
    return cls
