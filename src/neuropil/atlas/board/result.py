"""A board's result as plain data: entries, ranks, costs, provenance; what is committed, and whether it is still fresh."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neuropil.atlas.board.form import Assay
from neuropil.atlas.board.source import BoardSource, boards
from neuropil.atlas.conduct.plan import circumstances
from neuropil.atlas.contrast import Metric
from neuropil.atlas.files import read_json, sha256
from neuropil.atlas.statistics.ranks import rank

Plain = Mapping[str, Any]


def definition(assay: Assay, digests: Mapping[str, str]) -> dict[str, Any]:
    """Put what decides a task's seeds into plain data: all but the entries, so that a new entry is measured on the seeds of the others."""
    board, task = assay.board, assay.task
    return {
        "board": board.name,
        "task": assay.name,
        "on": task.on,
        "metric": asdict(task.metric),
        "budget": dict(task.budget),
        "data": dict(digests),
        "grid": {name: list(grid.values) for name, grid in board.grid.items()},
        "tune": {"seeds": list(board.tuning), **task.tune},
        "seeds": board.seeds,
    }


def assemble(
    assay: Assay, source: BoardSource, records: Mapping[str, Plain], seeds: Sequence[int], digests: Mapping[str, str], *, committed: bool
) -> dict[str, Any]:
    """Rank the ``records`` of entries (their scores, costs, tuning and provenance), and put the task's result together, the best first."""
    board, task = assay.board, assay.task
    ranked = rank({name: record["scores"] for name, record in records.items()}, better=task.metric.better, overlap=task.overlap)
    frozen = definition(assay, digests)
    return {
        "schema": 1,
        "board": board.name,
        "title": board.title,
        "kind": board.kind,
        "about": board.about,
        "board_note": board.note,
        "task": assay.name,
        "task_about": task.about,
        "note": task.note,
        "on": task.on,
        "metric": plain(task.on, task.metric),
        "costs": {name: plain(name, metric) for name, metric in board.costs.items()},
        "definition": frozen,
        "hash": sha256(frozen),
        "committed": committed,
        "seeds": list(seeds),
        "overlap": task.overlap,
        "entries": {name: {**found(ranked[name]), **records[name]} for name in ranked},
        "refused": assay.refused,
        "provenance": {
            "code": source.code,
            "data": dict(digests),
            **circumstances(),
            "seconds": math.fsum(record["seconds"] for record in records.values()),
        },
    }


def plain(name: str, metric: Metric) -> dict[str, Any]:
    """Put a metric into plain data."""
    described = {key: getattr(metric, key) for key in ("units", "kind", "better", "floor", "ceiling")}
    return {"label": metric.label or name.replace("_", " "), **described}


def found(ranked: Any) -> dict[str, Any]:
    """Put one rank into plain data."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(ranked).items()}


def per_seed_csv(result: Plain) -> str:
    """Lay a result's numbers out as CSV: one row an entry and seed, the score first, then every cost."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["entry", "seed", result["on"], *result["costs"]])
    for name, entry in result["entries"].items():
        for index, seed in enumerate(result["seeds"]):
            writer.writerow([name, seed, entry["scores"][index], *(entry["costs"][cost][index] for cost in result["costs"])])
    return text.getvalue()


def path_of(source: BoardSource, task: str) -> Path:
    """Name the file of a task's committed result."""
    return source.folder / f"{task}.json"


def committed(source: BoardSource, task: str) -> dict[str, Any] | None:
    """Read a task's committed result; ``None`` where none was run."""
    path = path_of(source, task)
    if not path.exists():
        return None
    result: dict[str, Any] = read_json(path)
    return result


def results() -> list[dict[str, Any]]:
    """Give the committed results of all boards that come with neuropil, board by board; loads no board and no torch."""
    return [read_json(path) for source in boards().values() for path in sorted(source.folder.glob("*.json"))]


def stale_now(source: BoardSource, result: Plain) -> dict[str, str]:
    """Load the board and say the same of the task that a committed result is of; all entries are to be dropped where the board has it no more."""
    board = source.load()
    if result["task"] not in board.tasks:
        return dict.fromkeys(result["entries"], "the board has no such task any more")
    return stale(source, board.on(result["task"]), result)


def stale(source: BoardSource, assay: Assay, result: Plain, digests: Mapping[str, str] | None = None) -> dict[str, str]:
    """Say of each entry that a run would measure or drop why: its code has changed, it is new or gone; all where the task itself has changed."""
    data = result["provenance"]["data"] if digests is None else digests
    if sha256(definition(assay, data)) != result["hash"]:
        return dict.fromkeys(result["entries"], "the task has changed")
    reasons = {name: _changed(name, entry, source.code, assay) for name, entry in result["entries"].items()}
    new = dict.fromkeys((name for name in assay.arms if name not in reasons), "it is new and was not run yet")
    return {name: why for name, why in reasons.items() if why} | new


def _changed(name: str, entry: Plain, code: str, assay: Assay) -> str:
    if name in assay.refused:
        return "it refuses this task now"
    if name not in assay.arms:
        return "it is no entry of the board any more"
    if entry["provenance"]["code"] != code:
        return "the board's code has changed"
    return "" if sha256(entry["arm"]) == sha256(assay.arms[name]) else "its own code or settings have changed"
