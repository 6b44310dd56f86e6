"""The index: every row of the catalogue with what is known of it, read from committed results alone; loads no study and no torch."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

from neuropil.atlas.catalogue import Row, rows, study_path
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.loading import Source
from neuropil.atlas.conduct.registration import count
from neuropil.atlas.files import read_json
from neuropil.atlas.statistics.multiplicity import benjamini_hochberg

VERDICTS = ("supported", "negligible", "reversed", "undecided", "descriptive", "unverifiable")


def index() -> list[dict[str, Any]]:
    """One record a row of the catalogue; q-values over the verdicts that claim or seek a difference (a *negligible* one claims none)."""
    records = [record(row) for row in rows()]
    judged = [r for r in records if r["verdict"] in ("supported", "reversed", "undecided") and r["p"] is not None]
    for found, q in zip(judged, benjamini_hochberg([r["p"] for r in judged]), strict=True):
        found["q"] = q
    return records


def record(row: Row) -> dict[str, Any]:
    """What ``neuropil list --json`` prints of one row; ``null`` where nothing is known yet."""
    file = study_path(row.slug)
    found: dict[str, Any] = {
        "slug": row.slug,
        "title": row.title,
        "year": row.year,
        "family": row.family,
        "tier": row.tier,
        "kind": row.kind,
        "status": "implemented" if file else "catalogued",
        "verdict": None,
        "effect": None,
        "units": None,
        "interval": None,
        "delta": None,
        "n": None,
        "p": None,
        "q": None,
        "fidelity": _fidelity(file) if file else None,
        "looks": 0,
        "stale": None,
    }
    if file is None:
        return found
    source = Source(row.slug, file)
    found["looks"] = Ledger(source.folder).looks()
    result = latest_result(source.folder)
    if result is not None:
        primary = result["contrasts"][result["verdict"]["decided_by"]]
        found |= {key: primary[key] for key in ("effect", "units", "interval", "delta", "n", "p")}
        if primary["scale"] == "log":
            found |= {"effect": math.exp(primary["effect"]), "units": f"fold ({primary['units']})"}
            found |= {"interval": [math.exp(limit) for limit in primary["interval"]]}
        found |= {"verdict": result["verdict"]["word"], "stale": stale(source, result), "registration": result["registration"]["number"]}
    return found


def latest_result(folder: Path) -> dict[str, Any] | None:
    """Read the committed result of the latest registration that has one; ``None`` where none was run."""
    for number in range(count(folder), 0, -1):
        path = folder / ("result.json" if number == 1 else f"result-{number}.json")
        if path.exists():
            found: dict[str, Any] = read_json(path)
            return found
    return None


def stale(source: Source, result: dict[str, Any]) -> bool:
    """Whether the code differs from the result's and was not found to give the same fingerprint (*carried*, in the ledger)."""
    code, number = source.code, result["registration"]["number"]
    if code == result["provenance"]["code"]:
        return False
    entries = Ledger(source.folder).entries()
    return not any(e["event"] == "carried" and e["code"] == code and e["registration"] == number for e in entries)


def _fidelity(file: Path) -> str | None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Study":
            for keyword in node.keywords:
                if keyword.arg == "fidelity" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return None
