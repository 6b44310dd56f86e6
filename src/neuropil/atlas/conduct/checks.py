"""The audit every verdict must pass, wins and nulls alike: dose, gate, lesion, off, what was matched, and that arms are not one arm twice."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from neuropil.atlas.contrast import Contrast
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.expressions import Condition
from neuropil.atlas.outcome import Table
from neuropil.atlas.statistics.estimates import Estimate, estimate
from neuropil.atlas.study import Study


@dataclass(frozen=True)
class Check:
    """One line of the audit: ``passed`` is ``None`` where the run did not include what it needs."""

    name: str
    asked: str
    found: str
    passed: bool | None

    def plain(self) -> dict[str, Any]:
        """The check as JSON data."""
        return asdict(self)


def audit(study: Study, table: Table, smoke: Table | None, budget: str) -> list[Check]:
    """Run every check that the arms in ``table`` allow; ``smoke`` holds one smoke seed of every arm, for the off check."""
    return [
        *[_dose(study, table, index) for index in range(len(study.doses))],
        *_gate(study, table),
        _lesion(study, table, budget),
        _off(study, smoke),
        *_matched(study, table),
    ]


def refuse_nan(table: Table) -> None:
    """Raise ``AtlasError`` for any number that is NaN, naming arm, metric and seed."""
    for arm in table.arms:
        for name in table.numbers(arm):
            table.values(arm, name)


def refuse_identical(study: Study, table: Table) -> None:
    """Raise ``AtlasError`` where the arms of a contrast agree on every number at every seed: the mechanism is not acting."""
    for contrast in study.contrasts:
        if contrast.a in table.arms and contrast.b in table.arms:
            shared = [name for name in table.numbers(contrast.a) if name in table.numbers(contrast.b)]
            if shared and all(table.values(contrast.a, name) == table.values(contrast.b, name) for name in shared):
                raise AtlasError(
                    f"The arms {contrast.a!r} and {contrast.b!r} gave identical numbers at every seed: the mechanism is not acting; check its settings or how the trial reads them."
                )


def compare(study: Study, table: Table, a: str, b: str, on: str, budget: str) -> Estimate:
    """Estimate the benefit of arm ``a`` over ``b`` as this budget has it: its cap of steps, its splits."""
    settings = study.budgets[budget]
    return estimate(table.values(a, on), table.values(b, on), study.metrics[on].at(settings), settings.get("resplit"))


def lesion_costs_on_primary(study: Study, table: Table, budget: str) -> bool:
    """Say whether the lesion costs on the primary metric itself (95 % interval above zero), as a *supported* verdict needs."""
    primary = study.primaries[0]
    return compare(study, table, primary.a, study.lesion.arm, primary.on, budget).interval[0] > 0


def blocking(checks: list[Check]) -> list[str]:
    """Say in words which checks failed or could not be made; a verdict needs this list to be empty."""
    return [
        f"{check.name}: asked {check.asked}, found {check.found}"
        for check in checks
        if check.passed is not True and not check.name.startswith("matched (secondary)")
    ]


def _missing(table: Table, *arms: str) -> str:
    lacking = [arm for arm in arms if arm not in table.arms]
    return f"{', '.join(lacking)} not run here" if lacking else ""


def _dose(study: Study, table: Table, index: int) -> Check:
    dose = study.doses[index]
    arm = dose.arm or study.primaries[0].a
    asked = f"{arm}.{dose.metric} >= {dose.at_least:g}"
    if missing := _missing(table, arm):
        return Check("dose", asked, missing, None)
    mean = table.mean(arm, dose.metric)
    least = min(table.values(arm, dose.metric))
    return Check("dose", asked, f"mean {mean:.4g}, least over seeds {least:.4g}", mean >= dose.at_least)


def _gate(study: Study, table: Table) -> list[Check]:
    checks = []
    for condition in study.gate.conditions:
        if missing := _missing(table, *condition.arms):
            checks.append(Check("gate", str(condition), missing, None))
        else:
            holds, found = condition.check(table)
            checks.append(Check("gate", str(condition), found, holds))
    return checks


def _lesion(study: Study, table: Table, budget: str) -> Check:
    primary, lesion = study.primaries[0], study.lesion
    on = lesion.on or primary.on
    asked = f"{lesion.arm} costs on {on}" + (f" by {lesion.at_least:g}" if lesion.at_least else "")
    if missing := _missing(table, primary.a, lesion.arm):
        return Check("lesion", asked, missing, None)
    if on not in study.metrics:
        raise AtlasError(
            f"{study.slug}: the lesion is judged on {on!r}, which metrics= does not describe; described are {', '.join(study.metrics)}."
        )
    if len(table.seeds) < 2:
        return Check("lesion", asked, "one seed has no interval", None)
    found = compare(study, table, primary.a, lesion.arm, on, budget)
    said = f"cost {found.effect:.4g} [{found.interval[0]:.4g}, {found.interval[1]:.4g}]"
    return Check("lesion", asked, said, found.interval[0] > 0 and found.effect >= lesion.at_least)


def _off(study: Study, smoke: Table | None) -> Check:
    asked = f"{study.off.arm} equals {study.off.equals} to rounding"
    if smoke is None:
        return Check("off", asked, "not run here", None)
    shared = [name for name in smoke.numbers(study.off.arm) if name in smoke.numbers(study.off.equals)]
    worst, name_of_worst = -1.0, ""
    for name in shared:
        for x, y in zip(smoke.values(study.off.arm, name), smoke.values(study.off.equals, name), strict=True):
            difference = 0.0 if x == y else abs(x - y) / max(1.0, abs(x), abs(y))
            if difference > worst:
                worst, name_of_worst = difference, name
    found = f"largest difference over {len(shared)} metrics {max(worst, 0.0):.2g}" + (f" ({name_of_worst})" if worst > 0 else "")
    return Check("off", asked, found, bool(shared) and worst <= 1e-6)


def _matched(study: Study, table: Table) -> list[Check]:
    checks: list[Check] = []
    for contrast in study.contrasts:
        role = "matched" if contrast in study.primaries else "matched (secondary)"
        for match in contrast.matches:
            asked = f"{contrast.a} and {contrast.b}: {match}"
            if any(check.asked == asked for check in checks):
                continue
            if missing := _missing(table, contrast.a, contrast.b):
                checks.append(Check(role, asked, missing, None))
                continue
            a, b = table.mean(contrast.a, match.metric), table.mean(contrast.b, match.metric)
            allowed = match.within if match.within is not None else (match.ratio or 0.0) * max(abs(a), abs(b))
            checks.append(Check(role, asked, f"{a:.6g} and {b:.6g}", abs(a - b) <= allowed + 1e-12))
    return checks


def own_gate(contrast: Contrast, table: Table) -> str:
    """Say which of the contrast's own gate conditions does not hold here, or could not be checked; empty where all hold."""
    for condition in map(Condition, contrast.gate):
        if missing := _missing(table, *condition.arms):
            return f"Its own gate, {condition}, could not be checked ({missing})."
        holds, found = condition.check(table)
        if not holds:
            return f"Its own gate failed: asked {condition}, found {found}; this contrast cannot show the effect here."
    return ""


def unmatched(contrast: Contrast) -> str:
    """Say why nothing is held equal, for a contrast that matches nothing; empty otherwise."""
    return f"unmatched: {contrast.why}" if contrast.match is None else ""
