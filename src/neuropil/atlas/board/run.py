"""Run a task of a board: tune every entry on one grid, measure it on the board's seeds, keep what is fresh, rank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from neuropil.atlas.board.form import Assay
from neuropil.atlas.board.result import assemble, committed, definition, path_of, per_seed_csv, stale
from neuropil.atlas.board.source import AssaySource, BoardSource
from neuropil.atlas.conduct.execute import Executor, Watcher, compute
from neuropil.atlas.conduct.fingerprint import agrees
from neuropil.atlas.conduct.plan import circumstances, plan, table
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import alone, now, sha256, write_result, write_text
from neuropil.atlas.outcome import Table
from neuropil.atlas.seeds import EXPLORATORY_LIMIT, derive_seeds
from neuropil.atlas.space import points


def run(
    source: BoardSource,
    task: str,
    *,
    digests: Mapping[str, str],
    store: Store,
    on: Executor,
    seeds: Sequence[int] | None = None,
    entries: Sequence[str] | None = None,
    watch: Watcher | None = None,
) -> dict[str, Any]:
    """Run one task and give its result as plain data.

    Without ``seeds`` the board's own are taken. With neither ``seeds`` nor ``entries`` it is the board's run: entries whose committed numbers are fresh,
    or whose code changed without moving a smoke run's numbers, are kept, the others are run, and the result is written.
    """
    if seeds is not None and any(not 0 <= seed < EXPLORATORY_LIMIT for seed in seeds):
        raise AtlasError(f"--seeds takes seeds from 0 to {EXPLORATORY_LIMIT - 1}; leave it out for the board's own.")
    origin = source.on(task, None if entries is None else tuple(entries))
    assay = origin.load()
    taken = list(seeds) if seeds is not None else board_seeds(assay, digests)
    if seeds is not None or entries is not None:
        records = _measured(origin, assay, list(assay.arms), taken, digests, store, on, watch)
        return assemble(assay, source, records, taken, digests, committed=False)
    folder = source.writable()
    with alone(folder, f"running {task} of the board"):
        kept = _kept(source, assay, digests, store, on)
        todo = [name for name in assay.arms if name not in kept]
        records = kept | (_measured(origin, assay, todo, taken, digests, store, on, watch) if todo else {})
        result = assemble(assay, source, {name: records[name] for name in assay.arms}, taken, digests, committed=True)
        write_result(path_of(source, task), result)
        write_text(folder / f"{task}.csv", per_seed_csv(result))
    return result


def board_seeds(assay: Assay, digests: Mapping[str, str]) -> list[int]:
    """Derive the seeds of a task from its definition, so that nobody chooses them and every entry gets the same."""
    return derive_seeds(sha256(definition(assay, digests)), assay.board.seeds)


def _kept(source: BoardSource, assay: Assay, digests: Mapping[str, str], store: Store, on: Executor) -> dict[str, Any]:
    """Give the records of a committed result that still stand, those included whose smoke numbers the changed code gives again."""
    before = committed(source, assay.name)
    if before is None or before["hash"] != sha256(definition(assay, digests)):
        return {}
    old = stale(source, assay, before, digests)
    kept = {name: _record(entry) for name, entry in before["entries"].items() if name not in old}
    asked = [name for name in old if name in assay.arms and name in before["entries"]]
    smoked = _smoked(source.on(assay.name), assay, asked, digests, store, on) if asked else {}
    for name in asked:
        entry = before["entries"][name]
        if not agrees({name: entry["fingerprint"]}, {name: smoked[name]}):
            carried = [*entry["carried"], {"from": entry["provenance"]["code"], "at": now()}]
            kept[name] = _record(entry) | {"arm": assay.arms[name], "carried": carried}
            kept[name]["provenance"] = {**entry["provenance"], "code": source.code}
    return kept


def _record(entry: Mapping[str, Any]) -> dict[str, Any]:
    names = ("arm", "cites", "note", "scores", "costs", "chosen", "tuning", "edges", "fingerprint", "carried", "seconds", "provenance")
    return {name: entry[name] for name in names}


def _measured(
    origin: AssaySource,
    assay: Assay,
    names: list[str],
    seeds: list[int],
    digests: Mapping[str, str],
    store: Store,
    on: Executor,
    watch: Watcher | None,
) -> dict[str, Any]:
    """Tune and measure these entries; a record an entry."""
    tuned = _tuned(origin, assay, names, digests, store, on, watch)
    chosen = {name: tuned[name]["chosen"] for name in names}
    cells = plan(origin, assay, "board", names, seeds, chosen=chosen, digests=digests)
    compute(origin, cells, store, on=on, watch=watch)
    measured, seconds = table(cells, store, names, seeds)
    smoked = _smoked(origin, assay, names, digests, store, on)
    provenance = {"code": origin.code, **circumstances()}
    return {
        name: {
            "arm": assay.arms[name],
            "cites": list(assay.entries[name].cites),
            "note": assay.entries[name].note,
            "scores": measured.values(name, assay.task.on),
            "costs": {cost: measured.values(name, cost) for cost in assay.board.costs},
            **tuned[name],
            "fingerprint": smoked[name],
            "carried": [],
            "seconds": math.fsum(seconds[name]),
            "provenance": provenance,
        }
        for name in names
    }


def _tuned(
    origin: AssaySource,
    assay: Assay,
    names: list[str],
    digests: Mapping[str, str],
    store: Store,
    on: Executor,
    watch: Watcher | None,
) -> dict[str, dict[str, Any]]:
    """Try every point of the grid for every entry on the same seeds; the best mean is chosen, all are kept, an end of the grid is named."""
    board, task = assay.board, assay.task
    asked = points(board.grid)
    laid = [
        plan(origin, assay, "board", names, board.tuning, chosen=dict.fromkeys(names, point), digests=digests, overrides=task.tune)
        for point in asked
    ]
    compute(origin, [cell for cells in laid for cell in cells], store, on=on, watch=watch)
    tables = [table(cells, store, names, board.tuning)[0] for cells in laid]
    sign = 1 if task.metric.better == "higher" else -1
    tuned: dict[str, dict[str, Any]] = {}
    for name in names:
        tried = [_values(measured, name, task.on) for measured in tables]
        best = max(range(len(asked)), key=lambda k: sign * math.fsum(tried[k]) / len(tried[k]))
        trials = [{"point": point, "values": values} for point, values in zip(asked, tried, strict=True)]
        tuned[name] = {"chosen": asked[best], "tuning": trials, "edges": board.edges(assay.entries[name], asked[best])}
    return tuned


def _values(measured: Table, name: str, on: str) -> list[float]:
    values = measured.values(name, on)
    if not all(map(math.isfinite, values)):
        raise AtlasError(
            f"The trial of {name!r} returned a {on} that is not finite; let it return the worst finite score for a run that failed."
        )
    return values


def _smoked(
    origin: AssaySource, assay: Assay, names: list[str], digests: Mapping[str, str], store: Store, on: Executor
) -> dict[str, dict[str, float]]:
    """The finite numbers of one smoke cell an entry at seed 0, times left out."""
    cells = plan(origin, assay, "smoke", names, [0], chosen={name: _middle(assay) for name in names}, digests=digests)
    compute(origin, cells, store, on=on)
    smoked, _ = table(cells, store, names, [0])
    timed = {name for name, metric in assay.board.costs.items() if metric.kind == "time"}
    return {
        name: {key: value for key in smoked.numbers(name) if key not in timed and math.isfinite(value := smoked.values(name, key)[0])}
        for name in names
    }


def _middle(assay: Assay) -> dict[str, float]:
    return {name: grid.values[len(grid.values) // 2] for name, grid in assay.board.grid.items()}
