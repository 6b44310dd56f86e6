"""Exact tests and intervals for paired outcomes that are no means: signed ranks, and successes and failures."""

from __future__ import annotations

import math
from collections.abc import Sequence


def signed_rank_p(values: Sequence[float]) -> float:
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


def walsh(values: Sequence[float], alpha: float) -> tuple[float, float, float]:
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


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided exact McNemar probability (mcnemar1947): twice the smaller binomial tail of the disagreeing pairs."""
    m = wins + losses
    tail = sum(math.comb(m, k) for k in range(max(wins, losses), m + 1)) / float(2**m)
    return min(1.0, 2 * tail)


def tango_upper(wins: int, losses: int, n: int, z: float) -> float:
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
