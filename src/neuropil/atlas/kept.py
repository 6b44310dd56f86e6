"""JSON in the cache: replaced whole, checked by its own hash, worth nothing when torn or gone; a cache that cannot be written is no error."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import write_text


def keep(path: Path, value: Any) -> None:
    """Write JSON data that can be made again."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    with contextlib.suppress(AtlasError):
        write_text(path, f"{_hash(body)}\n{body}\n")


def kept(path: Path) -> Any:
    """Read it; ``None`` where it is not there or not whole."""
    try:
        claimed, body, _ = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        return None
    return json.loads(body) if _hash(body) == claimed else None


def _hash(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
