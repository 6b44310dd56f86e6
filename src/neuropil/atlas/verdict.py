"""From paired values to an effect, an interval and one word.

With d the mean benefit over seeds and [L, U] its 95 % interval (source of each: the function that computes it):

- *negligible*: the 90 % interval lies inside (-delta, delta);
- *supported*: L > 0 and d >= delta;
- *reversed*: U < 0 and d <= -delta;
- *undecided*: otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.study import Contrast, Kind, Metric

Word = Literal["supported", "negligible", "reversed", "undecided", "descriptive", "unverifiable"]
Interval = tuple[float, float]
FEWEST, MOST, WANTED_POWER, LEAST_POWER = 10, 30, 0.9, 0.8
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Estimate:
    """The benefit of arm a over arm b: mean (or median of ranks), 95 % and 90 % intervals, two-sided p, and what they rest on.

    ``scale`` is ``raw`` (the metric's units) or ``log`` (natural logarithm of a ratio). ``spread`` is the standard deviation over seeds,
    ``overlap`` is test/train where every seed draws its split from one pool, else 0.
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
    note: str = ""

    def prediction(self, n: int) -> Interval | None:
        """Give the interval in which the estimate of ``n`` fresh seeds on the same data falls with probability 95 %.

        Equation: d -+ t(0.975, n0 - 1) * spread * sqrt(1/n0 + 1/n); what overlapping splits share cancels, since the data are the same.
        ``None`` where the method has no such interval.
        """
        if self.kind in ("success", "exact") or self.method.startswith("signed ranks") or self.n < 2:
            return None
        half = _t_quantile(0.975, self.n - 1) * self.spread * math.sqrt(1 / self.n + 1 / n)
        return (self.effect - half, self.effect + half)


def estimate(a: Sequence[float], b: Sequence[float], metric: Metric, resplit: tuple[int, int] | None = None) -> Estimate:
    """Estimate the benefit of ``a`` over ``b``, value by value paired, as the metric's kind asks for.

    Raises ``AtlasError`` for unpaired or NaN values, for a success that is neither 0 nor 1, for steps or times that are not positive.
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
            return _paired_ratios(first, second, metric.kind)
        case "exact":
            return _exact(first, second)
        case _:
            if not all(math.isfinite(v) for v in (*a, *b)):
                raise AtlasError("A contrast on a mean was given an infinite value; only metrics of kind steps or time may be inf.")
            differences = [x - y for x, y in zip(first, second, strict=True)]
            return _paired_t(differences, resplit)


def judge(found: Estimate, contrast: Contrast) -> Word:
    """Turn an estimate into its word for this contrast (see the module's head); ``relation="equal"`` claims the negligible difference."""
    delta = math.log(contrast.delta) if found.scale == "log" else contrast.delta
    enough = delta * (1 - _ROUNDING)
    significant = found.kind != "success" or (found.p is not None and found.p < 0.05)
    word: Word = "undecided"
    if -delta < found.interval90[0] and found.interval90[1] < delta:
        word = "negligible"
    elif found.interval[0] > 0 and found.effect >= enough and significant:
        word = "supported"
    elif found.interval[1] < 0 and found.effect <= -enough and significant:
        word = "reversed"
    if contrast.relation == "equal":
        claimed: dict[Word, Word] = {"negligible": "supported", "supported": "reversed", "reversed": "reversed"}
        return claimed.get(word, "undecided")
    return word


def conjunction(words: Sequence[Word]) -> Word:
    """Join several primary contrasts, which must all pass: supported if all are, else the worst of reversed, negligible, undecided."""
    for worst in ("reversed", "negligible", "undecided"):
        if worst in words:
            return worst
    return "supported"


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for all being looked at: Holm's step-down (holm1979)."""
    return _adjust(p_values, lambda rank, m: m - rank, upward=True)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Turn p-values into q-values: the false-discovery rate at which each would be called (benjamini1995)."""
    return _adjust(p_values, lambda rank, m: m / (rank + 1), upward=False)


def _adjust(p_values: Sequence[float], factor: Callable[[int, int], float], *, upward: bool) -> list[float]:
    m = len(p_values)
    order = sorted(range(m), key=lambda i: p_values[i])
    scaled = [min(1.0, p_values[i] * factor(rank, m)) for rank, i in enumerate(order)]
    ranks = range(1, m) if upward else range(m - 2, -1, -1)
    for rank in ranks:
        scaled[rank] = max(scaled[rank], scaled[rank - 1]) if upward else min(scaled[rank], scaled[rank + 1])
    adjusted = [0.0] * m
    for rank, i in enumerate(order):
        adjusted[i] = scaled[rank]
    return adjusted


def power(spread: float, delta: float, n: int, overlap: float = 0.0) -> float:
    """Give the chance that L > 0 when the true benefit is ``delta``: the paired t test's power, noncentral t with n - 1 degrees of freedom.

    ``overlap`` is test/train where splits overlap (nadeau2003). The word *supported* also needs d >= delta, which at a true benefit of
    exactly delta happens half of the time; the power stated is for telling the benefit from zero.
    """
    from scipy.stats import nct

    if spread == 0:
        return 1.0
    noncentrality = delta / (spread * math.sqrt(1 / n + overlap))
    if noncentrality > 30:
        return 1.0
    return float(nct.sf(_t_quantile(0.975, n - 1), n - 1, noncentrality))


def success_power(discordant: float, delta: float, n: int) -> float:
    """Give the chance that the exact McNemar test finds a true difference ``delta`` of success rates, by summing over all outcomes.

    ``discordant`` is the share of seeds on which the arms disagree; at least ``delta`` of them must.
    """
    from scipy.stats import multinomial

    discordant = min(1.0, max(discordant, delta))
    better, worse = (discordant + delta) / 2, (discordant - delta) / 2
    law = multinomial(n, [better, worse, max(0.0, 1 - better - worse)])
    return float(
        sum(
            law.pmf([wins, losses, n - wins - losses])
            for wins in range(n + 1)
            for losses in range(n + 1 - wins)
            if wins > losses and _mcnemar(wins, losses) < 0.05
        )
    )


def seeds_needed(found: Estimate, contrast: Contrast) -> tuple[int, float]:
    """Find the smallest n from 10 to 30 with 90 % power at delta, given the spread in ``found``; (30, its power) where none has it."""
    delta = math.log(contrast.delta) if found.scale == "log" else contrast.delta
    reached = 0.0
    for n in range(FEWEST, MOST + 1):
        if found.kind == "success":
            reached = success_power(sum(b != 0 for b in found.benefits) / found.n, delta, n)
        else:
            reached = power(found.spread, delta, n, found.overlap)
        if reached >= WANTED_POWER:
            return n, reached
    return MOST, reached


def gap_closed(effect: float, control_mean: float, metric: Metric) -> float | None:
    """Give the effect as a share of the way from the control to the best possible value; ``None`` where the metric has no such value."""
    best = metric.ceiling if metric.better == "higher" else metric.floor
    if best is None or best == control_mean:
        return None
    return effect / abs(best - control_mean)


@cache
def _t_quantile(level: float, df: int) -> float:
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
    spread = math.sqrt(math.fsum((x - mean) ** 2 for x in differences) / (n - 1))
    error = spread * math.sqrt(1 / n + overlap)
    half, half90 = _t_quantile(0.975, n - 1) * error, _t_quantile(0.95, n - 1) * error
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


def _paired_ratios(first: Sequence[float], second: Sequence[float], kind: Kind) -> Estimate:
    """Steps and times: paired t on logarithms; signed ranks (wilcoxon1945, hodges1963) where a run was censored (inf)."""
    if not all(v > 0 for v in (*first, *second)):
        raise AtlasError(f"A metric of kind {kind} must be positive (inf where never reached), {min(*first, *second):g} was given.")
    censored = any(math.isinf(v) for v in (*first, *second))
    if not censored:
        found = _paired_t([math.log(x) - math.log(y) for x, y in zip(first, second, strict=True)], None)
        return replace(found, kind=kind, method="paired t on logarithms", scale="log")
    limit = max((v for v in (*first, *second) if math.isfinite(v)), default=1.0)
    logs = [math.log(min(x, limit)) - math.log(min(y, limit)) for x, y in zip(first, second, strict=True)]
    pairs = list(zip(first, second, strict=True))
    rank_of = [
        math.copysign(math.inf, x - y) if math.isinf(x) != math.isinf(y) else (0.0 if math.isinf(x) else log)
        for (x, y), log in zip(pairs, logs, strict=True)
    ]
    p = _signed_rank_p(rank_of)
    lower, upper, middle = _walsh(logs, 0.05)
    lower90, upper90, _ = _walsh(logs, 0.10)
    count = sum(math.isinf(x) or math.isinf(y) for x, y in pairs)
    spread = _paired_t(logs, None).spread
    note = (
        f"{count} of {len(pairs)} pairs hold a run that never got there; it counts as the longest finished run, so the effect is a bound."
    )
    if p >= 0.05 and (lower > 0 or upper < 0):
        lower, upper = min(lower, 0.0), max(upper, 0.0)
    return Estimate(
        kind,
        "signed ranks, censored",
        len(pairs),
        middle,
        (lower, upper),
        (lower90, upper90),
        p,
        spread,
        tuple(logs),
        scale="log",
        note=note,
    )


def _signed_rank_p(values: Sequence[float]) -> float:
    """Two-sided exact sign-flip probability of Wilcoxon's signed-rank sum, zeros dropped, ties at mid-ranks."""
    kept = [v for v in values if v != 0]
    if not kept:
        return 1.0
    sizes = sorted(abs(v) for v in kept)
    twice_rank = {size: sizes.index(size) + 1 + len(sizes) - sizes[::-1].index(size) for size in set(sizes)}
    ranks = [twice_rank[abs(v)] for v in kept]
    ways = [1] + [0] * sum(ranks)
    for rank in ranks:
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    observed = sum(rank for rank, v in zip(ranks, kept, strict=True) if v > 0)
    extreme = max(observed, sum(ranks) - observed)
    return min(1.0, 2 * sum(ways[extreme:]) / float(2 ** len(ranks)))


def _walsh(values: Sequence[float], alpha: float) -> tuple[float, float, float]:
    """Hodges-Lehmann estimate and the interval that inverts the signed-rank test, from the sorted Walsh averages."""
    n = len(values)
    averages = sorted((values[i] + values[j]) / 2 for i in range(n) for j in range(i, n))
    m = len(averages)
    middle = (averages[(m - 1) // 2] + averages[m // 2]) / 2
    ways = [1] + [0] * m
    for rank in range(1, n + 1):
        for total in range(m, rank - 1, -1):
            ways[total] += ways[total - rank]
    below, cut = 0, 0
    while cut < m // 2 and (below + ways[cut]) / 2**n <= alpha / 2:
        below += ways[cut]
        cut += 1
    if cut == 0:
        return (-math.inf, math.inf, middle)
    return averages[cut - 1], averages[m - cut], middle


def _mcnemar(wins: int, losses: int) -> float:
    """Two-sided exact McNemar probability (mcnemar1947): twice the smaller binomial tail of the disagreeing pairs."""
    m = wins + losses
    tail = sum(math.comb(m, k) for k in range(max(wins, losses), m + 1)) / float(2**m)
    return min(1.0, 2 * tail)


def _tango_upper(wins: int, losses: int, n: int, z: float) -> float:
    """Upper score limit of the paired difference of proportions (tango1998): the largest root of T(difference) = -z, by bisection."""

    def statistic(difference: float) -> float:
        a = 2 * n
        b = -wins - losses + (2 * n - wins + losses) * difference
        c = -losses * difference * (1 - difference)
        q = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        variance = n * (2 * q + difference * (1 - difference))
        gap = wins - losses - n * difference
        return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap) if gap else 0.0

    low, high = (wins - losses) / n, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        if statistic(middle) > -z:
            low = middle
        else:
            high = middle
    return high


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
        return (-_tango_upper(losses, wins, n, z), _tango_upper(wins, losses, n, z))

    return Estimate(
        "success",
        "exact McNemar, Tango interval",
        n,
        effect,
        limits(1.959963984540054),
        limits(1.6448536269514722),
        _mcnemar(wins, losses),
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
