"""The append-only ledger beside a study's results: every registration, every run on reporting seeds, failed and aborted ones included."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import said, sha256


class Ledger:
    """``ledger.jsonl``: one JSON object a line, each carrying the hash of the line before, so that a change to the past shows."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.jsonl"

    def entries(self) -> list[dict[str, Any]]:
        """Read all entries; raise ``AtlasError`` where the chain of hashes is broken."""
        if not self.path.exists():
            return []
        return self._check(_whole_lines(self.path.read_text(encoding="utf-8")))

    def _check(self, text: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        previous = ""
        for number, line in enumerate(text.splitlines(), 1):
            try:
                entry = json.loads(line)
                claimed = entry.pop("hash")
            except (json.JSONDecodeError, KeyError, AttributeError):
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
        """Add one entry, under a lock, flushed to disk before this returns."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+", encoding="utf-8") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                handle.seek(0)
                text = handle.read()
                past = self._check(_whole_lines(text))
                if not text.endswith("\n"):
                    handle.truncate(len(_whole_lines(text).encode()))
                entry: dict[str, Any] = {"event": event, "at": datetime.now(UTC).isoformat(timespec="seconds"), **facts}
                entry["previous"] = past[-1]["hash"] if past else ""
                entry["hash"] = sha256(entry)
                handle.write(json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n")
                handle.flush()
                os.fsync(handle.fileno())
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


def _whole_lines(text: str) -> str:
    """Drop a last line that a crash cut off before its end; it was never an entry."""
    return text[: text.rfind("\n") + 1]
