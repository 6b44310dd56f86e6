"""Tuning parity: one grid for every tuned arm, the same seeds for every point, all results kept; then the spread that n follows from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from neuropil.atlas.conduct.currency import refuse_changed
from neuropil.atlas.conduct.execute import Executor, Watcher, compute
from neuropil.atlas.conduct.history import keep_history
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.loading import Source
from neuropil.atlas.conduct.local import ONE_PROCESS
from neuropil.atlas.conduct.plan import plan, table
from neuropil.atlas.conduct.registration import rule_of
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.files import alone, now, read_json, sha256, sweep, write_json
from neuropil.atlas.space import Tune, points
from neuropil.atlas.study import Study


def tune(
    source: Source,
    study: Study,
    budget: str,
    *,
    digests: Mapping[str, str],
    fingerprint: dict[str, dict[str, float]],
    store: Store,
    on: Executor = ONE_PROCESS,
    watch: Watcher | None = None,
) -> dict[str, Any]:
    """Search the grid for every tuned arm, measure the spread of the primary differences, write ``tuning.json``, and give its new record.

    One tuning of a study at a time: a second is refused while the first runs.
    """
    path = source.writable() / "tuning.json"
    with alone(source.folder, "tuning"):
        keep_history(source.folder)
        refuse_changed(source.file)
        sweep(source.folder)
        trials, chosen, edges, followed = _search(source, study, budget, digests, store, on, watch)
        spread_seeds = list(study.tune.spread if study.tune else range(1100, 1110))
        arms = list(dict.fromkeys(arm for contrast in study.primaries for arm in (contrast.a, contrast.b)))
        cells = plan(source, study, budget, arms, spread_seeds, chosen=followed, digests=digests)
        compute(source, cells, store, on=on, watch=watch)
        measured, seconds = table(cells, store, arms, spread_seeds)
        values: dict[str, dict[str, list[float]]] = {}
        for contrast in study.primaries:
            for arm in (contrast.a, contrast.b):
                values.setdefault(contrast.on, {})[arm] = measured.values(arm, contrast.on)
        record = {
            "rule": rule_of(study),
            "space": {name: list(grid.values) for name, grid in study.tune.grids.items()} if study.tune else {},
            "on": study.tune.on if study.tune else None,
            "budget": dict(study.tune.budget) if study.tune else {},
            "seeds": list(study.tune.seeds) if study.tune else [],
            "trials": trials,
            "chosen": chosen,
            "edges": edges,
            "spread": {"seeds": spread_seeds, "values": values},
            "seconds": {arm: math.fsum(spent) / len(spent) for arm, spent in seconds.items()},
            "fingerprint": fingerprint,
            "code": source.code,
            "at": now(),
        }
        refuse_changed(source.file)
        everything = read_json(path) if path.exists() else {}
        write_json(path, everything | {budget: record})
        Ledger(source.folder).append("tuned", budget=budget, chosen=chosen, trials=len(trials), record=sha256(record), code=source.code)
        return record


def overruled(study: Study, chosen: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Say which arms that take another's choice state a searched setting otherwise than that other does, and so lose what they state."""
    if study.tune is None:
        return []
    return [
        f"{arm}: {name} is {chosen[lead][name]:g}, as {lead} was tuned, and not {study.arms[arm][name]}"
        for arm, lead in study.tune.follow.items()
        for name in study.tune.grids
        if lead in chosen and name in study.arms[arm] and study.arms[arm][name] not in (study.arms[lead].get(name), chosen[lead][name])
    ]


def _search(
    source: Source, study: Study, budget: str, digests: Mapping[str, str], store: Store, on: Executor, watch: Watcher | None
) -> tuple[list[dict[str, Any]], dict[str, dict[str, float]], list[str], dict[str, dict[str, float]]]:
    if study.tune is None:
        return [], {}, [], {}
    rule: Tune = study.tune
    grids = rule.grids
    tried = points(grids)
    laid = [
        plan(source, study, budget, rule.arms, rule.seeds, chosen=dict.fromkeys(rule.arms, point), digests=digests, overrides=rule.budget)
        for point in tried
    ]
    compute(source, [cell for cells in laid for cell in cells], store, on=on, watch=watch)
    higher = study.metrics[rule.on].better == "higher"
    trials: list[dict[str, Any]] = []
    chosen: dict[str, dict[str, float]] = {}
    best: dict[str, float] = {}
    for point, cells in zip(tried, laid, strict=True):
        measured, _ = table(cells, store, rule.arms, rule.seeds)
        for arm in rule.arms:
            values = [_number(row.get(rule.on)) for row in measured.outcomes[arm]]
            score = math.fsum(values) / len(values) * (1 if higher else -1)
            score = -math.inf if math.isnan(score) else score
            trials.append({"arm": arm, "point": point, "values": [value if math.isfinite(value) else None for value in values]})
            if arm not in chosen or score > best[arm]:
                chosen[arm], best[arm] = point, score
    edges = [
        f"{arm}: {name}={chosen[arm][name]:g} of {', '.join(f'{v:g}' for v in grid.values)}"
        for arm in rule.arms
        for name, grid in grids.items()
        if grid.at_edge(chosen[arm][name])
    ]
    followed = {arm: chosen[rule.follow.get(arm, arm)] for arm in study.arms if rule.follow.get(arm, arm) in chosen}
    return trials, chosen, edges, followed


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
