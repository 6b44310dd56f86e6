"""Looking at many p-values: Holm's adjustment for the secondary contrasts of a study, q-values for the verdicts of the index."""

from __future__ import annotations

from collections.abc import Callable, Sequence


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
