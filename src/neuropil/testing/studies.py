"""Checks of a study: that it runs, that the seed decides, and that its evidence is there to be weighed."""

from __future__ import annotations

from pathlib import Path

from neuropil.atlas.conduct.checks import audit, refuse_identical, refuse_nan
from neuropil.atlas.conduct.loading import budget_settings, find, settings
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.outcome import Outcome, Table, decode, encode
from neuropil.atlas.seeds import Seed
from neuropil.atlas.study import Study


def load_study(reference: str | Path) -> Study:
    """Load a study by its slug or the path of its file; raises ``AtlasError`` where there is none."""
    return find(str(reference)).load()


def check_study(reference: str | Path, seed: int = 0) -> None:
    """Check a study, by slug or path, on its smoke budget; raise one ``AssertionError`` that lists what is wrong.

    The same seed gives the same numbers in every arm, times left out, and another seed others; no number is NaN; the arms of a contrast
    differ; off is its control; each metric that a contrast, its match, the dose or the gate reads is returned by the arm it is read of.
    """
    study = load_study(reference)
    first, again, other = _smoke(study, seed), _smoke(study, seed), _smoke(study, seed + 1)
    wrong = [*_unrepeatable(study, first, again), *_deaf_to_seeds(study, first, other), *_without_evidence(study, first)]
    if wrong:
        raise AssertionError(f"{study.slug} is not sound:\n" + "\n".join(f"- {said}" for said in wrong))


def _smoke(study: Study, seed: int) -> Table:
    ran: dict[str, list[Outcome]] = {}
    for arm in study.arms:
        outcomes = study.compute(settings(study, arm, {}), budget_settings(study, "smoke"), [Seed(seed)])
        ran[arm] = [decode(encode(outcome)) for outcome in outcomes]
    return Table([seed], ran)


def _numbers(study: Study, table: Table, arm: str) -> dict[str, str]:
    """The numbers of an arm, exactly, times left out."""
    return {name: repr(table.outcomes[arm][0][name]) for name in table.numbers(arm) if name not in study.timed}


def _unrepeatable(study: Study, first: Table, again: Table) -> list[str]:
    pairs = {arm: (_numbers(study, first, arm), _numbers(study, again, arm)) for arm in study.arms}
    return [
        f"{arm}: the same seed gave {', '.join(name for name in a if a[name] != b.get(name))} anew; draw all that is random from seed"
        for arm, (a, b) in pairs.items()
        if a != b
    ]


def _deaf_to_seeds(study: Study, first: Table, other: Table) -> list[str]:
    exact = all(study.metrics[contrast.on].kind == "exact" for contrast in study.primaries)
    if exact or any(_numbers(study, first, arm) != _numbers(study, other, arm) for arm in study.arms):
        return []
    return ["another seed gave the same numbers in every arm; draw data, initialisation and noise from seed"]


def _without_evidence(study: Study, first: Table) -> list[str]:
    try:
        refuse_nan(first)
        refuse_identical(study, first)
        checks = audit(study, first, first, "smoke")
    except AtlasError as error:
        return [str(error)]
    return [f"off: asked {check.asked}, found {check.found}" for check in checks if check.name == "off" and not check.passed]
