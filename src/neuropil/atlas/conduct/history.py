"""What git holds of a study: whether a file is committed as it is, and whether the ledger still begins with what was committed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from neuropil.atlas.errors import AtlasError


def keep_history(folder: Path) -> None:
    """Raise ``AtlasError`` where the ledger does not begin with the one that git holds: it is append-only."""
    path = folder / "ledger.jsonl"
    held = _git(path, "show", "HEAD:./{}")
    now = path.read_bytes().decode(errors="replace") if path.exists() else ""
    if held is not None and not now.startswith(held):
        raise AtlasError(f"{path} lost or changed lines that git holds; it is append-only: restore it with `git checkout -- {path}`.")


def committed(path: Path) -> bool | None:
    """Whether git holds the file as it is now; ``None`` where the folder is not under git."""
    if _git(path, "rev-parse", "--is-inside-work-tree") is None:
        return None
    return _git(path, "ls-files", "--error-unmatch", "{}") is not None and _git(path, "status", "--porcelain", "--", "{}") == ""


def _git(path: Path, *words: str) -> str | None:
    """Ask git about a file, ``{}`` in the words, which need not exist any more: what it prints, or ``None`` where it fails or is not there."""
    folder = next(parent for parent in path.parents if parent.is_dir())
    asked = [word.replace("{}", str(path.relative_to(folder))) for word in words]
    try:
        done = subprocess.run(["git", "-C", str(folder), *asked], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
