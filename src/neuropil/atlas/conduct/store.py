"""Finished cells, found again by what they are: settings, seeds, data, code. Written whole, read only if their checksum holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import read_json, sha256, write_text
from neuropil.cache import cache_folder


class Store:
    """A folder of cells, ``<first two hex digits>/<key>.json``, each holding its key, its payload and the payload's SHA-256."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_folder() / "cells"
        self.moved_aside: list[Path] = []

    def path(self, key: str) -> Path:
        """Say where the cell with this key lies or would lie."""
        return self.root / key[:2] / f"{key}.json"

    def get(self, key: str) -> dict[str, Any] | None:
        """Give the payload of a finished cell, or ``None``; a corrupt cell is moved aside (and listed in ``moved_aside``), never used."""
        path = self.path(key)
        if not path.exists():
            return None
        try:
            record = read_json(path)
            if record["key"] == key and record["sha256"] == sha256(record["payload"]):
                payload: dict[str, Any] = record["payload"]
                return payload
        except (AtlasError, KeyError, TypeError, ValueError):
            pass
        aside = self.root / "corrupt" / path.name
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.replace(aside)
        self.moved_aside.append(aside)
        return None

    def put(self, key: str, payload: dict[str, Any]) -> None:
        """Write a finished cell; raise ``AtlasError`` where the disk is full, leaving nothing behind."""
        write_text(self.path(key), json.dumps({"key": key, "sha256": sha256(payload), "payload": payload}, allow_nan=False))
        self.failed(key).unlink(missing_ok=True)

    def failed(self, key: str) -> Path:
        """Say where the traceback of the cell with this key lies if it failed when it was last run."""
        return self.root / "failed" / f"{key}.txt"

    def mark_failed(self, key: str, sentence: str, traceback: str) -> None:
        """Keep what a failed cell said; it is run again by the next run that asks for it."""
        write_text(self.failed(key), f"{sentence}\n\n{traceback}")
