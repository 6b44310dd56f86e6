"""Run a study: cells, contrasts, audit, verdict, provenance; a reporting run writes its result beside its registration."""

from __future__ import annotations

import csv
import io
import math
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuropil.atlas.cells import Watcher, compute, plan, table, versions
from neuropil.atlas.checks import Check, audit, blocking, lesion_costs_on_primary, refuse_identical, refuse_nan, unmatched
from neuropil.atlas.errors import AtlasError, InterruptionError
from neuropil.atlas.files import source_root, write_json, write_text
from neuropil.atlas.ledger import Ledger
from neuropil.atlas.loading import Source, tuned
from neuropil.atlas.outcome import Matrix, Table, encode
from neuropil.atlas.registration import Registration, check_current, committed, path_of, read
from neuropil.atlas.seeds import EXPLORATORY_LIMIT
from neuropil.atlas.store import Store
from neuropil.atlas.study import Contrast, Study
from neuropil.atlas.verdict import Word, conjunction, estimate, gap_closed, holm, judge

FRESH = 10
"""The number of fresh seeds for which a result states its 95 % prediction interval."""


def run(
    source: Source,
    study: Study,
    budget: str,
    *,
    digests: Mapping[str, str],
    store: Store,
    seeds: Sequence[int] | None = None,
    arms: Sequence[str] | None = None,
    jobs: int = 1,
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
        return _report(source, study, budget, digests, store, jobs, watch)
    default = {"smoke": [0], "glance": [0, 1, 2]}.get(budget, [0])
    wanted = list(arms) if arms is not None else default_arms(study, budget)
    found, seconds = _measure(source, study, budget, wanted, list(seeds if seeds is not None else default), digests, store, jobs, watch)
    return _assemble(source, study, budget, found, seconds, None, digests, None)


def smoke(source: Source, study: Study, *, digests: Mapping[str, str], store: Store, watch: Watcher | None = None) -> Table:
    """Run one smoke cell of every arm at seed 0: what the off check and the fingerprint are made of."""
    found, _ = _measure(source, study, "smoke", list(study.arms), [0], digests, store, 1, watch)
    return found


def fingerprint(study: Study, smoked: Table) -> dict[str, dict[str, float]]:
    """Take the finite numbers of one smoke cell an arm, times left out, by which changed code is known to give the same results."""
    timed = {name for name, metric in study.metrics.items() if metric.kind == "time"}
    return {
        arm: {name: value for name in smoked.numbers(arm) if name not in timed and math.isfinite(value := smoked.values(arm, name)[0])}
        for arm in smoked.arms
    }


def default_arms(study: Study, budget: str) -> list[str]:
    """Name the arms a budget runs: the primary ones at glance, all at smoke, elsewhere all but a pure off switch."""
    primary = list(dict.fromkeys(arm for contrast in study.primaries for arm in (contrast.a, contrast.b)))
    if budget == "glance":
        return primary
    named = {arm for contrast in study.contrasts for arm in (contrast.a, contrast.b)} | {
        arm for condition in study.gate.conditions for arm in condition.arms
    }
    return [arm for arm in study.arms if budget == "smoke" or arm != study.off.arm or arm in named]


def _measure(
    source: Source,
    study: Study,
    budget: str,
    arms: list[str],
    seeds: list[int],
    digests: Mapping[str, str],
    store: Store,
    jobs: int,
    watch: Watcher | None,
) -> tuple[Table, dict[str, list[float]]]:
    chosen = tuned(source, study, budget)
    cells = plan(source, study, budget, arms, seeds, chosen=chosen, digests=digests)
    timed = any(study.metrics[contrast.on].kind == "time" for contrast in study.contrasts)
    compute(source, cells, store, jobs=jobs, alone=timed and budget != "smoke", watch=watch)
    found, seconds = table(cells, store, arms, seeds)
    refuse_nan(found)
    return found, seconds


def _report(
    source: Source, study: Study, budget: str, digests: Mapping[str, str], store: Store, jobs: int, watch: Watcher | None
) -> dict[str, Any]:
    registration = read(source.folder)
    if registration.budget != budget:
        raise AtlasError(
            f"{study.slug} is registered for the {registration.budget} budget, {budget} was asked for; explore it with --seeds 0:10."
        )
    code = check_current(source, study, registration, digests)
    path = path_of(source.folder, registration.number)
    if committed(path) is False:
        raise AtlasError(
            f"{path.name} is not committed as it is; run `git add {source.folder}` and `git commit` before any reporting seed runs."
        )
    ledger = Ledger(source.folder)
    facts = {"registration": registration.number, "code": code, "budget": budget, "seeds": len(registration.seeds)}
    ledger.append("started", **facts)
    try:
        found, seconds = _measure(source, study, budget, default_arms(study, budget), registration.seeds, digests, store, jobs, watch)
        smoked = smoke(source, study, digests=digests, store=store)
        result = _assemble(source, study, budget, found, seconds, smoked, digests, registration)
    except InterruptionError:
        ledger.append("aborted", **facts, reason="interrupted")
        raise
    except AtlasError as error:
        ledger.append("failed", **facts, reason=str(error))
        raise
    ending = "" if registration.number == 1 else f"-{registration.number}"
    ledger.append("finished", **facts, verdict=result["verdict"]["word"], effect=result["contrasts"][0]["effect"])
    result["looks"] = {"this": ledger.looks(), "of": ledger.looks()}
    write_json(source.folder / f"result{ending}.json", result)
    write_text(source.folder / f"seeds{ending}.csv", per_seed_csv(result))
    return result


def _assemble(
    source: Source,
    study: Study,
    budget: str,
    found: Table,
    seconds: dict[str, list[float]],
    smoked: Table | None,
    digests: Mapping[str, str],
    registration: Registration | None,
) -> dict[str, Any]:
    resplit = study.budgets[budget].get("resplit")
    if registration is not None or budget == "glance":
        refuse_identical(study, found)
    contrasts = [
        _contrast(study, contrast, found, resplit, "primary" if contrast in study.primaries else "secondary")
        for contrast in study.contrasts
        if contrast.a in found.arms and contrast.b in found.arms
    ]
    secondary = [c for c in contrasts if c["role"] == "secondary" and c["p"] is not None]
    for contrast, adjusted in zip(secondary, holm([c["p"] for c in secondary]), strict=True):
        contrast["p_holm"] = adjusted
    checks = audit(study, found, smoked, resplit)
    ledger = Ledger(source.folder)
    return {
        "schema": 1,
        "slug": study.slug,
        "cites": study.cites,
        "claim": study.claim,
        "fidelity": study.fidelity,
        "scale": study.scale,
        "distance": study.distance,
        "notes": study.notes,
        "paper": dict(study.paper),
        "budget": {"name": budget, **study.budgets[budget]},
        "exploratory": registration is None,
        "seeds": found.seeds,
        "arms": {arm: _arm(source, study, budget, arm, found, seconds[arm]) for arm in found.arms},
        "metrics": {
            name: {"label": metric.label or name.replace("_", " "), "units": metric.units, "better": metric.better, "kind": metric.kind}
            for name, metric in study.metrics.items()
        },
        "contrasts": contrasts,
        "gate": study.gate.text,
        "checks": [check.plain() for check in checks],
        "verdict": _verdict(study, contrasts, checks, found, resplit, registration) if registration else None,
        "registration": None
        if registration is None
        else {
            "number": registration.number,
            "hash": registration.hash,
            "registered_at": registration.registered_at,
            "amends": registration.amends,
            "n": len(registration.seeds),
            "power": registration.power,
        },
        "looks": {"this": ledger.looks(), "of": ledger.looks()},
        "fingerprint": fingerprint(study, smoked) if smoked else None,
        "provenance": {
            "code": source.code,
            "commit": _commit(),
            "data": {name: digests[name] for name in study.data.get(budget, ())},
            "versions": versions(),
            "machine": f"{platform.system()} {platform.machine()}",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": sum(map(sum, seconds.values())),
        },
    }


def _verdict(
    study: Study,
    contrasts: list[dict[str, Any]],
    checks: list[Check],
    found: Table,
    resplit: tuple[int, int] | None,
    registration: Registration,
) -> dict[str, Any]:
    words: list[Word] = [c["word"] for c in contrasts if c["role"] == "primary"]
    word = conjunction(words)
    withheld = blocking(checks)
    if word == "supported" and not lesion_costs_on_primary(study, found, resplit):
        withheld.append("lesion: the benefit survives the mechanism's lesion on the primary metric")
    if registration.descriptive:
        withheld.append(f"power: {registration.power['reached']:.0%} at {len(registration.seeds)} seeds, under 80 %")
    if study.fidelity == "unverifiable":
        return {"word": "unverifiable", "statistics": word, "withheld": ["the text gives no recoverable equations", *withheld]}
    return {"word": "descriptive" if withheld else word, "statistics": word, "withheld": withheld}


def _contrast(study: Study, contrast: Contrast, found: Table, resplit: tuple[int, int] | None, role: str) -> dict[str, Any]:
    metric = study.metrics[contrast.on]
    a, b = found.values(contrast.a, contrast.on), found.values(contrast.b, contrast.on)
    result = estimate(a, b, metric, resplit)
    prediction = result.prediction(FRESH)
    mean_b = math.fsum(b) / len(b)
    finite = math.isfinite(result.interval[0])
    return {
        "role": role,
        "a": contrast.a,
        "b": contrast.b,
        "on": contrast.on,
        "units": metric.units,
        "relation": contrast.relation,
        "delta": contrast.delta,
        "effect": result.effect,
        "interval": list(result.interval) if finite else None,
        "interval90": list(result.interval90) if finite else None,
        "p": result.p,
        "n": result.n,
        "spread": None if math.isnan(result.spread) else result.spread,
        "method": result.method,
        "scale": result.scale,
        "benefits": list(result.benefits),
        "prediction": {"n": FRESH, "interval": list(prediction)} if prediction else None,
        "gap_closed": gap_closed(result.effect, mean_b, metric) if result.scale == "raw" and math.isfinite(mean_b) else None,
        "unmatched": unmatched(contrast),
        "note": result.note,
        "word": judge(result, contrast) if finite else "undecided",
    }


def _arm(source: Source, study: Study, budget: str, arm: str, found: Table, seconds: list[float]) -> dict[str, Any]:
    numbers = found.numbers(arm)
    others = [name for name in found.outcomes[arm][0] if name not in numbers]
    outcomes = [encode({name: row[name] for name in others if name in row}) for row in found.outcomes[arm]]
    cost = {name: found.mean(arm, name) for name in ("parameters", "steps", "samples") if name in numbers}
    matrices = {name for name in others if isinstance(found.outcomes[arm][0].get(name), Matrix)}
    return {
        "settings": {**study.arms[arm], **tuned(source, study, budget).get(arm, {})},
        "metrics": {
            name: [value if math.isfinite(value) else {"float": repr(value)} for value in found.values(arm, name)] for name in numbers
        },
        "curves": {name: [outcome[name] for outcome in outcomes] for name in others if name not in matrices},
        "matrices": {name: outcomes[0][name] for name in matrices},
        "cost": {**cost, "seconds": math.fsum(seconds) / len(seconds)},
    }


def per_seed_csv(result: dict[str, Any]) -> str:
    """Lay a result's numbers out as CSV: one row an arm and seed, one column a metric."""
    names = list(dict.fromkeys(name for arm in result["arms"].values() for name in arm["metrics"]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", "seed", *names])
    for arm, record in result["arms"].items():
        for index, seed in enumerate(result["seeds"]):
            cells = [record["metrics"][name][index] if name in record["metrics"] else "" for name in names]
            writer.writerow([arm, seed, *(cell["float"] if isinstance(cell, dict) else cell for cell in cells)])
    return text.getvalue()


def _commit() -> str | None:
    root: Path | None = source_root()
    if root is None:
        return None
    try:
        done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
