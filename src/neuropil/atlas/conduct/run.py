"""Run a study: cells, contrasts, audit, verdict, provenance; a reporting run writes its result beside its registration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from neuropil.atlas.conduct.checks import refuse_nan
from neuropil.atlas.conduct.currency import refuse_changed
from neuropil.atlas.conduct.execute import Executor, Watcher, compute
from neuropil.atlas.conduct.keeping import keep, numbers
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.loading import Source, tuned
from neuropil.atlas.conduct.local import ONE_PROCESS
from neuropil.atlas.conduct.plan import plan, table
from neuropil.atlas.conduct.registration import check_current, read, require_committed
from neuropil.atlas.conduct.result import assemble
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.errors import AtlasError, InterruptionError
from neuropil.atlas.files import alone, sweep
from neuropil.atlas.outcome import Table
from neuropil.atlas.seeds import EXPLORATORY_LIMIT
from neuropil.atlas.study import Study


def run(
    source: Source,
    study: Study,
    budget: str,
    *,
    digests: Mapping[str, str],
    store: Store,
    seeds: Sequence[int] | None = None,
    arms: Sequence[str] | None = None,
    on: Executor = ONE_PROCESS,
    watch: Watcher | None = None,
) -> dict[str, Any]:
    """Run a study and give its result as plain data.

    Without ``seeds``, ``smoke`` takes seed 0 and all arms, ``glance`` seeds 0 to 2 and the primary arms, and any other budget is a reporting run on
    the registered seeds, recorded in the ledger, its verdict written. With ``seeds`` (or ``arms``) the run is exploratory: no verdict.
    """
    if seeds is not None and any(not 0 <= seed < EXPLORATORY_LIMIT for seed in seeds):
        raise AtlasError(
            f"--seeds takes seeds from 0 to {EXPLORATORY_LIMIT - 1}; the ones above are reporting seeds, which only a registered run uses."
        )
    if seeds is None and budget not in ("smoke", "glance"):
        if arms is not None:
            raise AtlasError("A reporting run takes all arms; give --seeds 0:10 beside --arms to explore.")
        return _report(source, study, budget, digests, store, on, watch)
    default = {"smoke": [0], "glance": [0, 1, 2]}.get(budget, [0])
    wanted = list(arms) if arms is not None else default_arms(study, budget)
    before = tuned(source, study, budget)
    found, seconds = _measure(source, study, budget, wanted, list(seeds if seeds is not None else default), digests, store, on, watch)
    result = assemble(source, study, budget, found, seconds, None, digests, None)
    refuse_changed(source.file)
    if tuned(source, study, budget) != before:
        raise AtlasError(f"{study.slug} was tuned anew while it ran; run the same again, its arms have other settings now.")
    return result


def smoke(
    source: Source, study: Study, *, digests: Mapping[str, str], store: Store, on: Executor = ONE_PROCESS, watch: Watcher | None = None
) -> Table:
    """Run one smoke cell of every arm at seed 0: what the off check and the fingerprint are made of."""
    found, _ = _measure(source, study, "smoke", list(study.arms), [0], digests, store, on, watch)
    return found


def default_arms(study: Study, budget: str) -> list[str]:
    """Name the arms a budget runs: the primary ones at glance, all at smoke, elsewhere all but a pure off switch."""
    primary = list(dict.fromkeys(arm for contrast in study.primaries for arm in (contrast.a, contrast.b)))
    if budget == "glance":
        return primary
    named = {arm for contrast in study.contrasts for arm in (contrast.a, contrast.b)} | {
        arm for condition in study.gate.conditions for arm in condition.arms
    }
    return [arm for arm in study.arms if budget == "smoke" or arm != study.off.arm or arm in named]


def core_minutes(study: Study, tuning: dict[str, Any], budget: str, n: int) -> float:
    """Foretell what a run of ``n`` seeds takes if every arm costs what those did whose spread was measured when it was tuned."""
    spent = tuning["seconds"].values()
    return n * len(default_arms(study, budget)) * math.fsum(spent) / len(spent) / 60


def _measure(
    source: Source,
    study: Study,
    budget: str,
    arms: list[str],
    seeds: list[int],
    digests: Mapping[str, str],
    store: Store,
    on: Executor,
    watch: Watcher | None,
) -> tuple[Table, dict[str, list[float]]]:
    refuse_changed(source.file)
    chosen = tuned(source, study, budget)
    cells = plan(source, study, budget, arms, seeds, chosen=chosen, digests=digests)
    alone = any(contrast.on in study.timed for contrast in study.contrasts)
    compute(source, cells, store, on=on, alone=alone and budget != "smoke", watch=watch)
    found, seconds = table(cells, store, arms, seeds)
    try:
        refuse_nan(found)
    except AtlasError as error:
        raise AtlasError(f"{study.slug}: {error}") from None
    return found, seconds


def _report(
    source: Source, study: Study, budget: str, digests: Mapping[str, str], store: Store, on: Executor, watch: Watcher | None
) -> dict[str, Any]:
    registration = read(source.writable())
    if registration.budget != budget:
        raise AtlasError(
            f"{study.slug} is registered for the {registration.budget} budget, {budget} was asked for; explore it with --seeds 0:10."
        )
    with alone(source.folder, "running"):
        check_current(source, study, registration, digests)
        require_committed(source, registration)
        sweep(source.folder)
        ledger = Ledger(source.folder)
        facts = {"registration": registration.number, "code": registration.code, "budget": budget, "seeds": len(registration.seeds)}
        ledger.append("started", **facts)
        try:
            found, seconds = _measure(source, study, budget, default_arms(study, budget), registration.seeds, digests, store, on, watch)
            smoked = smoke(source, study, digests=digests, store=store)
            result = assemble(source, study, budget, found, seconds, smoked, digests, registration)
            check_current(source, study, registration, digests)
        except (InterruptionError, KeyboardInterrupt):
            ledger.append("aborted", **facts, reason="interrupted")
            raise
        except Exception as error:
            ledger.append("failed", **facts, reason=str(error))
            raise
        ledger.append("finished", **facts, verdict=result["verdict"]["word"], numbers=numbers(result))
        result["looks"] = {"this": ledger.looks(), "of": ledger.looks()}
        keep(source.folder, result)
    return result
