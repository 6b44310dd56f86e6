"""Read a result from a file, and refuse one that is none, or that offers an estimate as a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import read_json
from neuropil.atlas.seeds import derive_seeds

SCHEMA = 1
KEYS = ("slug", "budget", "exploratory", "seeds", "arms", "metrics", "contrasts", "checks", "verdict", "registration", "provenance")


def read_result(path: Path) -> dict[str, Any]:
    """Read a result that ``neuropil run`` wrote; raise ``AtlasError`` in one sentence where ``check_result`` does, naming the file."""
    if not path.is_file():
        raise AtlasError(f"There is no file {path}; `neuropil run SLUG --json {path.name}` writes a result.")
    found = read_json(path)
    check_result(found, str(path))
    return dict(found)


def check_result(found: Any, where: str) -> None:
    """Raise ``AtlasError`` unless this is a result of one study, whole, whose verdict, if it has one, its registration's own seeds gave."""
    if not isinstance(found, dict) or any(key not in found for key in KEYS):
        raise AtlasError(f"{where} is not the result of a study; give a file that `neuropil run SLUG --json FILE` wrote.")
    if found.get("schema") != SCHEMA:
        raise AtlasError(
            f"{where} has the form {found.get('schema')!r} of a result, this neuropil reads {SCHEMA}; run the study again, or use the neuropil that wrote it."
        )
    check_verdict(found, where)


def check_verdict(found: Mapping[str, Any], where: str) -> None:
    """Raise ``AtlasError`` for a result, with or without its arms, that offers a verdict which no registration's seeds gave."""
    verdict, words = found["verdict"], [contrast["word"] for contrast in found["contrasts"] if contrast.get("word")]
    if verdict is None and not words and found["exploratory"]:
        return
    said = verdict["word"] if verdict else words[0] if words else "no verdict"
    if flaw := _unregistered(found):
        raise AtlasError(
            f"{where} offers {said!r} as a verdict, and {flaw}; an estimate is no verdict: register the study and run it, or show the file as it was written."
        )


def _unregistered(found: Mapping[str, Any]) -> str:
    """Say why a result that claims a verdict cannot have one; empty where it can."""
    registration = found["registration"]
    if found["exploratory"]:
        return "it is exploratory"
    if not isinstance(registration, dict) or found["verdict"] is None:
        return "it names no registration"
    if list(found["seeds"]) != derive_seeds(str(registration.get("hash")), int(registration.get("n", 0))):
        return "its seeds are not those that its registration gave"
    return ""
