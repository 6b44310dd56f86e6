"""A result as plain data: arms, contrasts, audit, verdict, looks and provenance; what pages, tables and ``--json`` are made of."""

from __future__ import annotations

import csv
import io
import math
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuropil.atlas.conduct.checks import Check, audit, blocking, compare, lesion_costs_on_primary, own_gate, refuse_identical, unmatched
from neuropil.atlas.conduct.history import committed
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.loading import Source, tuned
from neuropil.atlas.conduct.plan import circumstances
from neuropil.atlas.conduct.registration import Registration, path_of
from neuropil.atlas.contrast import Contrast
from neuropil.atlas.outcome import Matrix, Table, encode
from neuropil.atlas.statistics.estimates import gap_closed
from neuropil.atlas.statistics.multiplicity import holm
from neuropil.atlas.statistics.verdict import Word, conjunction, judge
from neuropil.atlas.study import Study

FRESH = 10
"""The number of fresh seeds for which a result states its 95 % prediction interval."""


def assemble(
    source: Source,
    study: Study,
    budget: str,
    found: Table,
    seconds: dict[str, list[float]],
    smoked: Table | None,
    digests: Mapping[str, str],
    registration: Registration | None,
) -> dict[str, Any]:
    """Put a run into plain data; with a ``registration`` it carries a verdict. Raises ``AtlasError`` where arms are one arm twice."""
    if budget != "smoke":
        refuse_identical(study, found)
    contrasts = [
        _contrast(study, contrast, found, budget, registration is not None)
        for contrast in study.contrasts
        if contrast.a in found.arms and contrast.b in found.arms
    ]
    secondary = [c for c in contrasts if c["role"] == "secondary" and c["p"] is not None]
    for contrast, adjusted in zip(secondary, holm([c["p"] for c in secondary]), strict=True):
        contrast["p_holm"] = adjusted
    checks = audit(study, found, smoked, budget)
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
        "set": dict(study.explored),
        "seeds": found.seeds,
        "arms": {arm: _arm(source, study, budget, arm, found, seconds[arm]) for arm in found.arms},
        "metrics": {
            name: {"label": metric.label or name.replace("_", " "), "units": metric.units, "better": metric.better, "kind": metric.kind}
            for name, metric in study.metrics.items()
        },
        "contrasts": contrasts,
        "gate": study.gate.text,
        "checks": [check.plain() for check in checks],
        "verdict": _verdict(study, contrasts, checks, found, budget, registration) if registration else None,
        "registration": _registered(source, registration, ledger) if registration else None,
        "looks": {"this": ledger.looks(), "of": ledger.looks()},
        "fingerprint": fingerprint(study, smoked) if smoked else None,
        "provenance": {
            "code": source.code,
            "commit": _commit(source.file.parent),
            "data": {name: digests[name] for name in study.data.get(budget, ())},
            **circumstances(),
            "seconds": sum(map(sum, seconds.values())),
        },
    }


def _verdict(
    study: Study,
    contrasts: list[dict[str, Any]],
    checks: list[Check],
    found: Table,
    budget: str,
    registration: Registration,
) -> dict[str, Any]:
    words: list[Word] = [c["word"] for c in contrasts if c["role"] == "primary"]
    word = conjunction(words)
    decided_by = words.index(word)
    withheld = blocking(checks)
    if word == "supported" and not lesion_costs_on_primary(study, found, budget):
        withheld.append("lesion: the benefit survives the mechanism's lesion on the primary metric")
    if registration.descriptive:
        withheld.append(f"power: {registration.power['reached']:.1%} at {len(registration.seeds)} seeds, under 80 %")
    if study.fidelity == "unverifiable":
        withheld.insert(0, "the text gives no recoverable equations")
    shown = "unverifiable" if study.fidelity == "unverifiable" else "descriptive" if withheld else word
    return {"word": shown, "statistics": word, "decided_by": decided_by, "withheld": withheld}


def _registered(source: Source, registration: Registration, ledger: Ledger) -> dict[str, Any]:
    """Say what was registered, when, how often before a look, and whether git held it."""
    events = [entry for entry in ledger.entries() if entry["event"] in ("registered", "amended")]
    return {
        "number": registration.number,
        "hash": registration.hash,
        "registered_at": registration.registered_at,
        "amends": registration.amends,
        "n": len(registration.seeds),
        "power": registration.power,
        "times": sum(entry["registration"] == registration.number for entry in events),
        "in_git": committed(path_of(source.folder, registration.number)),
    }


def _contrast(study: Study, contrast: Contrast, found: Table, budget: str, registered: bool) -> dict[str, Any]:
    """Estimate one contrast; only a primary one of a registered run has a word."""
    metric = study.metrics[contrast.on]
    result = compare(study, found, contrast.a, contrast.b, contrast.on, budget)
    primary = contrast in study.primaries
    shut = own_gate(contrast, found)
    prediction = result.prediction(FRESH)
    mean_b = found.mean(contrast.b, contrast.on)
    finite = math.isfinite(result.interval[0])
    return {
        "role": "primary" if primary else "secondary",
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
        "note": " ".join(filter(None, (result.note, shut))),
        "word": None if not (registered and primary) else judge(result, contrast) if finite and not shut else "undecided",
    }


def _arm(source: Source, study: Study, budget: str, arm: str, found: Table, seconds: list[float]) -> dict[str, Any]:
    numbers = found.numbers(arm)
    others = [name for name in found.outcomes[arm][0] if name not in numbers]
    outcomes = [encode({name: row[name] for name in others if name in row}) for row in found.outcomes[arm]]
    means = {name: found.mean(arm, name) for name in ("parameters", "steps", "samples") if name in numbers}
    cost = {name: mean for name, mean in means.items() if math.isfinite(mean)}  # steps of a run that never got there have no mean
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


def _commit(folder: Path) -> str | None:
    """Name the commit that the study's folder is at, with ``+`` where something there is not committed; ``None`` outside git."""
    try:
        head = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        changed = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain", "--", "."], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return f"{head.stdout.strip()}{'+' if changed.stdout.strip() else ''}" if head.returncode == 0 else None


def fingerprint(study: Study, smoked: Table) -> dict[str, dict[str, float]]:
    """Take the finite numbers of one smoke cell an arm, times left out, by which changed code is known to give the same results."""
    return {
        arm: {
            name: value for name in smoked.numbers(arm) if name not in study.timed and math.isfinite(value := smoked.values(arm, name)[0])
        }
        for arm in smoked.arms
    }
