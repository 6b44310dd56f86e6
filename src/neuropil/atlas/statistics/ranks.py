"""Ranks with intervals: how sure the order of several entries is, that were measured on the same seeds.

Equations: entry j ranks ``1 + #{k: theta_k better than theta_j}``. All K(K - 1) hypotheses "k is not better than j" are tested by one-sided
paired t (under overlapping splits with the variance ``s^2 (1/n + test/train)``, nadeau2003) and Holm's step-down (holm1979), so that with
probability 95 % none that is true is rejected. Then, for all entries at once, the true rank of j lies between ``1 + #{k found better than
j}`` and ``K - #{k found worse than j}`` (mogstad2024, theorem on simultaneous sets; there with bootstrapped critical values, here with
Student's t, which needs no large n: exact for normal differences).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.statistics.estimates import Interval, t_quantile
from neuropil.atlas.statistics.multiplicity import holm

LEVEL = 0.05
_SAME = 1e-12


@dataclass(frozen=True)
class Ranked:
    """One entry among others: its mean with a 95 % interval of its own, its rank, and between which ranks it lies (95 %, all entries at once).

    ``behind`` is how much worse it is than the first, with the 95 % interval of this one paired difference, and ``p`` its adjusted one-sided
    probability; ``None`` for the first itself, and for intervals from one seed.
    """

    mean: float
    interval: Interval | None
    rank: int
    between: tuple[int, int]
    behind: float
    behind_interval: Interval | None
    p: float | None


def rank(
    values: Mapping[str, Sequence[float]], *, better: Literal["higher", "lower"] = "higher", overlap: float = 0.0
) -> dict[str, Ranked]:
    """Rank entries by their means over paired seeds, the best first.

    ``values``: one number a seed, the same seeds in the same order for every entry; ``overlap``: test/train where every seed draws its split from one pool, else 0.
    Raises ``AtlasError`` for no entry, unpaired values, and values that are not finite.
    """
    names = list(values)
    lengths = {len(row) for row in values.values()}
    if not names or len(lengths) != 1 or 0 in lengths:
        raise AtlasError(f"Ranks pair seeds: {sorted(lengths)} values an entry were given; give every entry as many, at least one.")
    table = np.array([list(values[name]) for name in names], dtype=np.float64)
    if not np.isfinite(table).all():
        bad = names[int(np.argmin(np.isfinite(table).all(1)))]
        raise AtlasError(f"{bad!r} has a value that is not finite; let the trial return the worst finite score for a run that failed.")
    entries, n = table.shape
    means = table.mean(1)
    sign = 1.0 if better == "higher" else -1.0
    order = np.argsort(-sign * means, kind="stable")
    first = int(order[0])
    adjusted = _adjusted(sign * table, overlap)
    found = adjusted < LEVEL
    ranked: dict[str, Ranked] = {}
    for j in map(int, order):
        behind, behind_interval = _interval(sign * (table[first] - table[j]), overlap)
        ranked[names[j]] = Ranked(
            mean=float(means[j]),
            interval=_interval(table[j], overlap)[1],
            rank=1 + int((sign * means > sign * means[j]).sum()),
            between=(1 + int(found[:, j].sum()), entries - int(found[j].sum())),
            behind=behind,
            behind_interval=None if j == first else behind_interval,
            p=None if j == first or n == 1 else float(adjusted[first, j]),
        )
    return ranked


def _interval(row: Any, overlap: float) -> tuple[float, Interval | None]:
    """The mean of values and its 95 % t interval; none from one value."""
    n, mean = len(row), float(row.mean())
    if n == 1:
        return mean, None
    half = t_quantile(0.975, n - 1) * float(row.std(ddof=1)) * math.sqrt(1 / n + overlap)
    return mean, (mean - half, mean + half)


def _adjusted(scores: Any, overlap: float) -> Any:
    """Holm-adjusted one-sided probabilities [K, K]: small at (k, j) where k scores higher than j; 1 on the diagonal, and from one seed."""
    from scipy.stats import t

    entries, n = scores.shape
    adjusted = np.ones((entries, entries))
    if n == 1 or entries == 1:
        return adjusted
    differences = scores[:, None] - scores[None]
    mean = differences.mean(2)
    spread = differences.std(2, ddof=1)
    spread[spread <= _SAME * np.maximum(1.0, np.abs(mean))] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = mean / (spread * math.sqrt(1 / n + overlap))
    statistic[np.abs(mean) <= _SAME] = 0.0
    apart = ~np.eye(entries, dtype=bool)
    adjusted[apart] = holm(t.sf(statistic[apart], n - 1).tolist())
    return adjusted
