"""The append-only ledger beside a study's results: every registration, every run on reporting seeds, failed and aborted ones included."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import now, said, sha256


class Ledger:
    """``ledger.jsonl``: one JSON object a line, each carrying the hash of the line before, so that a change to the past shows."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.jsonl"

    def entries(self) -> list[dict[str, Any]]:
        """Read all entries; raise ``AtlasError`` where the chain of hashes is broken."""
        if not self.path.exists():
            return []
        try:
            return self._check(_whole_lines(self.path.read_bytes()))
        except OSError as error:
            raise AtlasError(said(error, self.path)) from None

    def _check(self, text: bytes) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        previous = ""
        for number, line in enumerate(text.split(b"\n")[:-1], 1):
            try:
                entry = json.loads(line.decode())
                claimed = entry.pop("hash")
            except (ValueError, KeyError, AttributeError, TypeError):
                raise AtlasError(
                    f"{self.path} line {number} is not a ledger entry; the ledger is append-only: restore it from git."
                ) from None
            if entry.get("previous") != previous or claimed != sha256(entry):
                raise AtlasError(
                    f"{self.path} was changed at line {number}: its hash does not follow; the ledger is append-only: restore it from git."
                )
            previous = claimed
            entries.append(entry | {"hash": claimed})
        return entries

    def append(self, event: str, **facts: Any) -> dict[str, Any]:
        """Add one entry, under a lock, flushed to disk before this returns; a line that a crash cut off before its end is dropped first."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b", buffering=0) as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                handle.seek(0)
                text = _whole_lines(handle.read())
                past = self._check(text)
                entry: dict[str, Any] = {"event": event, "at": now(), **facts}
                entry["previous"] = past[-1]["hash"] if past else ""
                entry["hash"] = sha256(entry)
                handle.truncate(len(text))
                try:
                    _write(handle.fileno(), json.dumps(entry, ensure_ascii=False, allow_nan=False).encode() + b"\n")
                except OSError:
                    handle.truncate(len(text))
                    raise
                return entry
        except OSError as error:
            raise AtlasError(said(error, self.path)) from None

    def looks(self, registration: int | None = None) -> int:
        """Count the looks so far, at one registration or at all."""
        return count_looks(entry for entry in self.entries() if registration in (None, entry.get("registration")))


def count_looks(entries: Iterable[Mapping[str, Any]]) -> int:
    """Count one look a registration whose reporting seeds were started, and one more for every run that gave other numbers."""
    seen: dict[int, set[str]] = {}
    for entry in entries:
        if entry["event"] == "started":
            seen.setdefault(entry["registration"], set())
        elif entry["event"] == "finished":
            seen.setdefault(entry["registration"], set()).add(entry["numbers"])
    return sum(max(1, len(numbers)) for numbers in seen.values())


def _whole_lines(text: bytes) -> bytes:
    """Drop a last line that a crash cut off before its end; it was never an entry."""
    return text[: text.rfind(b"\n") + 1]


def _write(handle: int, line: bytes) -> None:
    while line:
        line = line[os.write(handle, line) :]
    os.fsync(handle)
