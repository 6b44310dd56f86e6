"""Where things lie, and how they are written: whole, checked, or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuropil.atlas.errors import AtlasError
from neuropil.cache import cache_folder

PACKAGE = Path(__file__).resolve().parent.parent


def source_root() -> Path | None:
    """Find the root of the checkout that neuropil runs from; ``None`` where it runs from an installed wheel."""
    root = PACKAGE.parent.parent
    return root if PACKAGE.parent.name == "src" and (root / "pyproject.toml").is_file() else None


def committed_results() -> Path:
    """Find the results that come with neuropil: ``results/`` of the checkout, or their copy in the wheel."""
    root = source_root()
    return root / "results" if root else PACKAGE / "_results"


def results_folder(study_file: Path, slug: str) -> Path:
    """Find where a study's registration, ledger and results lie.

    ``$NEUROPIL_RESULTS/<slug>``; else the ``results/<slug>`` that comes with neuropil, for a study of its own, or beside a user's study file.
    """
    named = os.environ.get("NEUROPIL_RESULTS")
    if named:
        return Path(named) / slug
    if PACKAGE in study_file.resolve().parents:
        return committed_results() / slug
    return study_file.resolve().parent / "results" / slug


@contextlib.contextmanager
def alone(folder: Path, doing: str) -> Iterator[None]:
    """Let one process at a time do ``doing`` (such as "tuning") to a folder of results; raise ``AtlasError`` where another is at it.

    The lock lies in the cache, and dies with its process.
    """
    path = cache_folder() / "locks" / f"{sha256([str(folder.resolve()), doing])[:16]}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise AtlasError(said(error, path)) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise AtlasError(
                f"Another process ({handle.read().strip() or 'starting'}) is {doing} {folder.name}; wait for it to end, or stop it first."
            ) from None
        handle.truncate(0)
        handle.write(f"pid {os.getpid()}")
        handle.flush()
        yield


def now() -> str:
    """Say the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def canonical(value: Any) -> str:
    """Write JSON data in the one form that is hashed: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def sha256(value: Any) -> str:
    """Hash JSON data in its canonical form."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def write_text(path: Path, text: str, *, through: Path | None = None) -> None:
    """Write a whole file or nothing: a temporary file (beside it, or in the folder ``through``), flushed to disk, then put in its place.

    Raises ``AtlasError`` where the disk is full or the folder may not be written. What a killed writer leaves is removed by ``sweep``.
    """
    folder = through or path.parent
    temporary = ""
    try:
        for each in {path.parent, folder}:
            each.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=folder, prefix=f".{path.name}.", suffix=PART, delete=False) as handle:
            temporary = handle.name
            _hold(handle.fileno())
            handle.write(text.encode())
            handle.flush()
            os.fchmod(handle.fileno(), 0o644)
            os.fsync(handle.fileno())
            Path(temporary).replace(path)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise AtlasError(said(error, path)) from None
        raise


PART = ".part"
"""How the name of a temporary file ends."""
ABANDONED = 3600.0
"""Seconds after which a temporary file that nobody holds was left by a writer that is gone."""


def sweep(folder: Path) -> list[Path]:
    """Remove the temporary files that killed writers left in a folder, and name them; those of a writer at work stay."""
    swept: list[Path] = []
    for path in folder.glob(f".*{PART}"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < ABANDONED:
                continue
            with path.open("rb") as handle:
                if _hold(handle.fileno()):
                    path.unlink()
                    swept.append(path)
    return swept


def _hold(handle: int) -> bool:
    """Mark an open file as in use until it is closed; ``False`` where somebody else holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: its age alone tells
        return True
    return True


def write_json(path: Path, value: Any) -> None:
    """Write JSON data for people to read, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def write_result(path: Path, value: dict[str, Any]) -> None:
    """Write a large JSON object, one line a key, whole or not at all."""
    lines = [
        f"{json.dumps(key)}:{json.dumps(part, separators=(',', ':'), allow_nan=False, ensure_ascii=False)}" for key, part in value.items()
    ]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; raise ``AtlasError`` naming the file where it is missing or no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AtlasError(f"{path} does not exist; it is written by `neuropil register` or `neuropil run`.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise AtlasError(f"{path} is not readable as JSON ({error}); restore it, for example with `git checkout -- {path.name}`.") from None
    except OSError as error:
        raise AtlasError(said(error, path)) from None


def said(error: OSError, path: Path) -> str:
    """Put an operating-system error into one sentence that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full, {path.name} was not written to {path.parent}; free some space and run the same command again, finished cells are kept."
    return f"{path} could not be read or written ({error.strerror}); {_advice(path.absolute())}."


def _advice(path: Path) -> str:
    """What to do about a path that cannot be read or written, by whose it is: the cache's, the results', or one that the user named."""
    if cache_folder().absolute() in path.parents:
        return "check the folder of the cache, or name another with $NEUROPIL_CACHE"
    named = os.environ.get("NEUROPIL_RESULTS")
    results = {committed_results(), *([Path(named).absolute()] if named else [])}
    if results & set(path.parents) or "results" in {parent.name for parent in path.parents[1:]}:
        return "check the folder of the results, or name another with $NEUROPIL_RESULTS"
    return "check that its folder is one that you may write to, or name another path"
