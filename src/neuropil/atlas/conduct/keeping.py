"""What a reporting run leaves: its entry in the ledger, then the result, then the table of its seeds; and whether the three agree.

A run that is killed between two of them is mended by the next: the ledger never knows less than a result that lies there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.result import per_seed_csv
from neuropil.atlas.files import sha256, write_result, write_text


def keep(folder: Path, result: Mapping[str, Any]) -> None:
    """Write a result and the table of its seeds; the ledger holds its numbers already."""
    write_result(_named(folder, result, "result", "json"), dict(result))
    write_text(_named(folder, result, "seeds", "csv"), per_seed_csv(dict(result)))


def mend(folder: Path, result: Mapping[str, Any]) -> Path | None:
    """Write the table of seeds again where it is not the result's."""
    torn = torn_table(folder, result)
    if torn:
        write_text(torn, per_seed_csv(dict(result)))
    return torn


def torn_table(folder: Path, result: Mapping[str, Any]) -> Path | None:
    """Name the table of seeds where it is not the result's."""
    path = _named(folder, result, "seeds", "csv")
    return None if path.is_file() and path.read_bytes() == per_seed_csv(dict(result)).encode() else path


def behind(folder: Path, result: Mapping[str, Any]) -> str:
    """Say so where the ledger's last run gave other numbers than the result."""
    number = result["registration"]["number"]
    recorded = [entry["numbers"] for entry in Ledger(folder).entries() if entry["event"] == "finished" and entry["registration"] == number]
    if recorded and recorded[-1] != numbers(result):
        return f"the ledger's last run at registration {number} was stopped before its result was written"
    return ""


def numbers(result: Mapping[str, Any]) -> str:
    """Hash every number of a run, times left out: a run that gives others is another look."""
    timed = {name for name, metric in result["metrics"].items() if metric["kind"] == "time"}
    return sha256(
        {
            arm: {name: [_written(value) for value in values] for name, values in record["metrics"].items() if name not in timed}
            for arm, record in result["arms"].items()
        }
    )


def _written(value: float | Mapping[str, str]) -> str:
    return value["float"] if isinstance(value, Mapping) else repr(value)


def _named(folder: Path, result: Mapping[str, Any], stem: str, kind: str) -> Path:
    number = result["registration"]["number"]
    return folder / (f"{stem}.{kind}" if number == 1 else f"{stem}-{number}.{kind}")
