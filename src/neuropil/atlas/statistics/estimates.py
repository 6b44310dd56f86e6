"""From paired values to an effect with its intervals: one function, the method chosen by the metric's kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from neuropil.atlas.contrast import Kind, Metric
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.statistics.exact import mcnemar, signed_rank_p, tango_upper, walsh

Interval = tuple[float, float]
_ROUNDING = 1e-9
_SAME = 1e-12


@dataclass(frozen=True)
class Estimate:
    """The benefit of arm a over arm b: mean (or median of ranks), 95 % and 90 % intervals, two-sided p, and what they rest on.

    ``scale`` is ``raw`` (the metric's units) or ``log`` (natural logarithm of a ratio). ``spread`` is the standard deviation over seeds,
    ``overlap`` is test/train where every seed draws its split from one pool, else 0; ``censored`` the number of pairs with a run that never got there.
    """

    kind: Kind
    method: str
    n: int
    effect: float
    interval: Interval
    interval90: Interval
    p: float | None
    spread: float
    benefits: tuple[float, ...]
    scale: Literal["raw", "log"] = "raw"
    overlap: float = 0.0
    censored: int = 0
    note: str = ""

    def prediction(self, n: int) -> Interval | None:
        """Give the interval in which the estimate of ``n`` fresh seeds on the same data falls with probability 95 %.

        Equation: d -+ t(0.975, n0 - 1) * spread * sqrt(1/n0 + 1/n); what overlapping splits share cancels, since the data are the same.
        ``None`` where the method has no such interval.
        """
        if self.kind in ("success", "exact") or self.censored or self.n < 2:
            return None
        half = t_quantile(0.975, self.n - 1) * self.spread * math.sqrt(1 / self.n + 1 / n)
        return (self.effect - half, self.effect + half)


def estimate(a: Sequence[float], b: Sequence[float], metric: Metric, resplit: tuple[int, int] | None = None) -> Estimate:
    """Estimate the benefit of ``a`` over ``b``, value by value paired, as the metric's kind asks for.

    Raises ``AtlasError`` for unpaired or NaN values, for a success that is neither 0 nor 1, for steps or times that are not positive, that are
    infinite without a declared cap, or that lie beyond it.
    """
    a, b = [float(v) for v in a], [float(v) for v in b]
    if len(a) != len(b) or not a:
        raise AtlasError(
            f"A contrast pairs seeds: {len(a)} and {len(b)} values were given; give as many of one as of the other, at least one."
        )
    if any(math.isnan(v) for v in (*a, *b)):
        raise AtlasError("A contrast was given NaN; a metric is a number: mend the trial, or return inf for a run that never got there.")
    first, second = (a, b) if metric.better == "higher" else (b, a)
    match metric.kind:
        case "success":
            return _paired_successes(first, second)
        case "steps" | "time":
            return _paired_ratios(first, second, metric)
        case "exact":
            return _exact(first, second)
        case _:
            if not all(math.isfinite(v) for v in (*a, *b)):
                raise AtlasError("A contrast on a mean was given an infinite value; only metrics of kind steps or time may be inf.")
            differences = [x - y for x, y in zip(first, second, strict=True)]
            return _paired_t(differences, resplit)


def gap_closed(effect: float, control_mean: float, metric: Metric) -> float | None:
    """Give the effect as a share of the way from the control to the best possible value; ``None`` where the metric has no such value."""
    if metric.ceiling is None or metric.ceiling == control_mean:
        return None
    return effect / abs(metric.ceiling - control_mean)


@cache
def t_quantile(level: float, df: int) -> float:
    """Give the quantile of Student's t; remembered, since every interval asks for the same few."""
    from scipy.stats import t

    return float(t.ppf(level, df))


def _paired_t(differences: Sequence[float], resplit: tuple[int, int] | None) -> Estimate:
    """Paired t; under overlapping splits var(d) = s^2 (1/n + test/train) (nadeau2003)."""
    n = len(differences)
    mean = math.fsum(differences) / n
    overlap = 0.0 if resplit is None else resplit[1] / resplit[0]
    method = "paired t" if resplit is None else "paired t, Nadeau-Bengio"
    if n == 1:
        return Estimate(
            "mean", method, 1, mean, (-math.inf, math.inf), (-math.inf, math.inf), None, math.nan, (mean,), note="One seed has no interval."
        )
    apart = max(differences) - min(differences)
    spread = math.sqrt(math.fsum((x - mean) ** 2 for x in differences) / (n - 1)) if apart > _SAME * max(1.0, abs(mean)) else 0.0
    error = spread * math.sqrt(1 / n + overlap)
    half, half90 = t_quantile(0.975, n - 1) * error, t_quantile(0.95, n - 1) * error
    note = ""
    if spread == 0:
        p = 1.0 if mean == 0 else 0.0
        rare = 1 - 0.05 ** (1 / n)
        note = f"All seeds gave one and the same difference; up to {rare:.0%} of other seeds could still differ (95 % bound)."
    else:
        from scipy.stats import t

        p = float(2 * t.sf(abs(mean) / error, n - 1))
    return Estimate(
        "mean",
        method,
        n,
        mean,
        (mean - half, mean + half),
        (mean - half90, mean + half90),
        p,
        spread,
        tuple(differences),
        overlap=overlap,
        note=note,
    )


def _paired_ratios(first: Sequence[float], second: Sequence[float], metric: Metric) -> Estimate:
    """Steps and times: paired t on logarithms; signed ranks (wilcoxon1945, hodges1963) where a run was censored (inf, counted as the cap)."""
    values = (*first, *second)
    if isinstance(metric.cap, int | float):
        if (beyond := max((v for v in values if math.isfinite(v)), default=0.0)) > metric.cap:
            raise AtlasError(
                f"A run got there at {beyond:g}, beyond the cap of {metric.cap:g} at which runs are stopped; correct Metric(cap=...)."
            )
        first, second = ([v if v < metric.cap else math.inf for v in side] for side in (first, second))
        values = (*first, *second)
    if not all(v > 0 for v in values):
        raise AtlasError(f"A metric of kind {metric.kind} must be positive (inf where never reached), {min(values):g} was given.")
    if not any(math.isinf(v) for v in values):
        found = _paired_t([math.log(x) - math.log(y) for x, y in zip(first, second, strict=True)], None)
        return replace(found, kind=metric.kind, method="paired t on logarithms", scale="log")
    if not isinstance(metric.cap, int | float):
        raise AtlasError("A run never got there (inf) and the metric does not say where runs were stopped; give Metric(cap=...).")
    pairs = list(zip(first, second, strict=True))
    logs = [math.log(min(x, metric.cap)) - math.log(min(y, metric.cap)) for x, y in pairs]
    p = signed_rank_p(logs)
    (lower, upper, middle), (lower90, upper90, _) = walsh(logs, 0.05), walsh(logs, 0.10)
    if p >= 0.05:
        lower, upper = min(lower, 0.0), max(upper, 0.0)
    count = sum(math.isinf(x) or math.isinf(y) for x, y in pairs)
    return Estimate(
        metric.kind,
        "signed ranks, censored",
        len(pairs),
        middle,
        (lower, upper),
        (lower90, upper90),
        p,
        _paired_t(logs, None).spread,
        tuple(logs),
        scale="log",
        censored=count,
        note=f"{count} of {len(pairs)} pairs hold a run that never got there; it counts as the cap, so the ratio is a bound.",
    )


def _paired_successes(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Success or failure a seed: exact McNemar for the p-value, Tango's score interval for the difference of rates."""
    if any(v not in (0.0, 1.0) for v in (*first, *second)):
        raise AtlasError("A metric of kind success is 0 or 1 a seed, another value was given; use kind mean for a share of many attempts.")
    n = len(first)
    benefits = tuple(x - y for x, y in zip(first, second, strict=True))
    wins, losses = benefits.count(1.0), benefits.count(-1.0)
    effect = (wins - losses) / n
    spread = math.sqrt(math.fsum((x - effect) ** 2 for x in benefits) / (n - 1)) if n > 1 else math.nan

    def limits(z: float) -> Interval:
        return (-tango_upper(losses, wins, n, z), tango_upper(wins, losses, n, z))

    return Estimate(
        "success",
        "exact McNemar, Tango interval",
        n,
        effect,
        limits(1.959963984540054),
        limits(1.6448536269514722),
        mcnemar(wins, losses),
        spread,
        benefits,
    )


def _exact(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Deterministic metrics: the difference itself, no interval and no p-value."""
    differences = [x - y for x, y in zip(first, second, strict=True)]
    if max(differences) - min(differences) > _ROUNDING * max(1.0, *(abs(v) for v in (*first, *second))):
        raise AtlasError("A metric of kind exact is the same at every seed, and this one differs between seeds; declare it kind mean.")
    value = differences[0]
    return Estimate(
        "exact", "exact", len(differences), value, (value, value), (value, value), None, 0.0, tuple(differences), note="Deterministic."
    )
