"""Finished cells, found again by what they are: settings, seeds, data, code. Written whole, read only if their checksum holds."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import said, sha256, sweep, write_text
from neuropil.cache import cache_folder

FORMAT = 1
"""The form of a record. 0 was the same without its number; a newer one is left alone, an unknown one is never guessed at."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Store:
    """A folder of cells, ``<first two hex digits>/<key>.json``, each holding its format, its key, its payload and the payload's SHA-256."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_folder() / "cells"
        self.moved_aside: list[Path] = []

    def path(self, key: str) -> Path:
        """Say where the cell with this key lies or would lie."""
        return self.root / key[:2] / f"{key}.json"

    def get(self, key: str) -> dict[str, Any] | None:
        """Give the payload of a finished cell, or ``None``; a corrupt cell is moved aside (and listed in ``moved_aside``), never used.

        Raises ``AtlasError`` for a cell that a newer neuropil wrote, which stays where it is, and for one that may not be read.
        """
        path = self.path(key)
        try:
            written = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AtlasError(said(error, path)) from None
        return self._move_aside(path, key) if (found := _payload(written, key, path)) is None else found

    def put(self, key: str, payload: dict[str, Any]) -> None:
        """Write a finished cell; raise ``AtlasError`` where the disk is full, leaving nothing behind."""
        record = {"format": FORMAT, "key": key, "sha256": sha256(payload), "payload": payload}
        write_text(self.path(key), json.dumps(record, allow_nan=False), through=self.root / "unfinished")
        with contextlib.suppress(OSError):
            self.failed(key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def claim(self, key: str, *, wait: bool) -> Iterator[bool]:
        """Hold a cell while it is computed, so that no other process computes it too; gives ``False`` where another holds it.

        With ``wait`` it waits until the other is done or dead. A claim dies with its process, which holds one at a time; on a file system
        without locks every claim is granted: cells may then be computed twice, and are still written whole.
        """
        path = self.root / "claims"
        place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:7])
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = path.open("ab")
        except OSError as error:
            raise AtlasError(said(error, path)) from None
        with handle:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
                granted = True
            except OSError as error:
                if error.errno not in (*_NO_LOCKS, errno.EAGAIN, errno.EACCES):
                    raise AtlasError(said(error, path)) from None
                granted = error.errno in _NO_LOCKS
            yield granted

    def failed(self, key: str) -> Path:
        """Say where the traceback of the cell with this key lies if it failed when it was last run."""
        return self.root / "failed" / f"{key}.txt"

    def mark_failed(self, key: str, sentence: str, traceback: str) -> None:
        """Keep what a failed cell said; it is run again by the next run that asks for it."""
        write_text(self.failed(key), f"{sentence}\n\n{traceback}", through=self.root / "unfinished")

    def sweep(self) -> list[Path]:
        """Remove what killed writers left half-written."""
        return sweep(self.root / "unfinished")

    def _move_aside(self, path: Path, key: str) -> dict[str, Any] | None:
        """Move a corrupt cell aside; where another process has written it anew meanwhile, put that back and give its payload."""
        aside = self.root / "corrupt" / path.name
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            path.replace(aside)
            found = _payload(aside.read_bytes(), key, aside)
            if found is not None:
                aside.replace(path)
                return found
        except FileNotFoundError:  # another process moved it
            return None
        except OSError as error:
            raise AtlasError(said(error, path)) from None
        self.moved_aside.append(aside)
        return None


def _payload(written: bytes, key: str, path: Path) -> dict[str, Any] | None:
    """Read a record; ``None`` where it is corrupt or another cell's."""
    try:
        record = json.loads(written.decode())
        form = record.get("format", 0)
        if isinstance(form, int) and form > FORMAT:
            raise AtlasError(
                f"The cell {path} was written by a newer neuropil (its format is {form}, this one reads up to {FORMAT}); update neuropil, or name another cache with $NEUROPIL_CACHE."
            )
        payload = record["payload"]
        whole = record["key"] == key and record["sha256"] == sha256(payload) and isinstance(payload, dict)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return payload if whole else None
