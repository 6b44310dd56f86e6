"""Where neuropil keeps what it can make again: finished cells, downloads, compiled kernels."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Find the cache: ``$NEUROPIL_CACHE``; else ``neuropil`` in ``$XDG_CACHE_HOME`` or in the system's folder for caches."""
    if named := os.environ.get("NEUROPIL_CACHE"):
        return Path(named).expanduser()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "neuropil"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "neuropil"
