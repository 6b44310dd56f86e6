"""The index: every row of the catalogue with what is known of it, read from committed results; loads no study and no torch.

Whether a result is stale is told from remembered hashes: a study's code is read again only where a file of it was written since.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from neuropil.atlas.catalogue import Row, rows, study_path
from neuropil.atlas.comparison.reading import check_verdict
from neuropil.atlas.conduct.fingerprint import Remembered
from neuropil.atlas.conduct.ledger import Ledger, count_looks
from neuropil.atlas.conduct.loading import Source
from neuropil.atlas.conduct.registration import count
from neuropil.atlas.conduct.syntax import memory, signature
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import read_json
from neuropil.atlas.guides import has_guide
from neuropil.atlas.statistics.multiplicity import benjamini_hochberg

VERDICTS = ("supported", "negligible", "reversed", "undecided", "descriptive", "unverifiable")
STATUSES = ("implemented", "guide", "catalogued")
_HEAVY = ("arms", "curves", "matrices")
"""What of a result the index never needs, and what makes it large."""


def index() -> list[dict[str, Any]]:
    """One record a row of the catalogue; q-values over the verdicts that claim or seek a difference (a *negligible* one claims none)."""
    with memory() as known:
        code = Remembered(known)
        records = [_record(row, code) for row in rows()]
    judged = [r for r in records if r["verdict"] in ("supported", "reversed", "undecided") and r["p"] is not None]
    for found, q in zip(judged, benjamini_hochberg([r["p"] for r in judged]), strict=True):
        found["q"] = q
    return records


def record(row: Row) -> dict[str, Any]:
    """What ``neuropil list --json`` prints of one row, without its q-value; ``null`` where nothing is known yet."""
    with memory() as known:
        return _record(row, Remembered(known))


def _record(row: Row, code: Remembered) -> dict[str, Any]:
    """The record of a row; what is wrong with a row of somebody's package is said in it, and the others are none the worse."""
    file = study_path(row.slug)
    found = _blank(row, file)
    if file is None:
        return found
    try:
        return found | _known(Source(row.slug, file), code)
    except AtlasError as error:
        if not row.package:
            raise
        return found | {"problem": f"The package {row.package}: {error}"}


def _blank(row: Row, file: Path | None) -> dict[str, Any]:
    return {
        "slug": row.slug,
        "title": row.title,
        "year": row.year,
        "family": row.family,
        "tier": row.tier,
        "kind": row.kind,
        "package": row.package or None,
        "status": "implemented" if file else "guide" if has_guide(row.slug) else "catalogued",
        "verdict": None,
        "effect": None,
        "units": None,
        "interval": None,
        "delta": None,
        "n": None,
        "p": None,
        "q": None,
        "fidelity": None,
        "looks": 0,
        "core_minutes": None,
        "stale": None,
        "carried": None,
    }


def _known(source: Source, code: Remembered) -> dict[str, Any]:
    """What is known of a study: its looks, and its latest result where it has one."""
    entries, result = Ledger(source.folder).entries(), latest_head(source.folder)
    found: dict[str, Any] = {"looks": count_looks(entries)}
    if result is None:
        return found | {"fidelity": code.fidelity(source.file)}
    check_verdict(result, str(result_paths(source.folder)[-1]))
    primary = result["contrasts"][result["verdict"]["decided_by"]]
    found |= {key: primary[key] for key in ("effect", "units", "interval", "delta", "n", "p")}
    if primary["scale"] == "log":
        found |= {"effect": math.exp(primary["effect"]), "units": f"fold ({primary['units']})"}
        found |= {"interval": [math.exp(limit) for limit in primary["interval"]]}
    now = standing(code.code_hash(source.file), result, entries)
    return found | {
        "verdict": result["verdict"]["word"],
        "fidelity": result["fidelity"],
        "core_minutes": result["provenance"]["seconds"] / 60,
        "stale": now == "stale",
        "carried": now == "carried",
        "registration": result["registration"]["number"],
    }


def stale(source: Source, result: Mapping[str, Any]) -> bool:
    """Whether the code, read anew, differs from the result's and was not found to give the same fingerprint (*carried*, in the ledger)."""
    return standing(source.code, result, Ledger(source.folder).entries()) == "stale"


def standing(code: str, result: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> Literal["fresh", "carried", "stale"]:
    """Whether a result is that of the ``code``, or was found to be (*carried*, in the ledger's ``entries``)."""
    if code == result["provenance"]["code"]:
        return "fresh"
    number = result["registration"]["number"]
    return "carried" if any(e["event"] == "carried" and e["code"] == code and e["registration"] == number for e in entries) else "stale"


def latest_result(folder: Path) -> dict[str, Any] | None:
    """Read the committed result of the latest registration that has one; ``None`` where none was run."""
    paths = result_paths(folder)
    return read_json(paths[-1]) if paths else None


def latest_head(folder: Path) -> dict[str, Any] | None:
    """Read the same without its arms, in a fraction of the time."""
    paths = result_paths(folder)
    return head(paths[-1]) if paths else None


def result_paths(folder: Path) -> list[Path]:
    """List the committed results of a study, one a registration that was run, the latest last."""
    named = (folder / ("result.json" if number == 1 else f"result-{number}.json") for number in range(1, count(folder) + 1))
    return [path for path in named if path.exists()]


def head(path: Path) -> dict[str, Any]:
    """Read a result without its arms; raises ``AtlasError`` where it is no JSON."""
    return _head(path, signature(path))


@lru_cache(maxsize=2048)
def _head(path: Path, _written: tuple[int, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                name, colon, value = line.strip().rstrip(",").partition(":")
                if colon and (key := json.loads(name)) not in _HEAVY:
                    found[key] = json.loads(value)
    except ValueError:  # not written a line a key
        found = {}
    if not {"contrasts", "verdict", "registration", "provenance", "fidelity"} <= set(found):
        found = {key: value for key, value in read_json(path).items() if key not in _HEAVY}
    return found
