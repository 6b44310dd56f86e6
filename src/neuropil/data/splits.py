"""Disjoint random subsets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neuropil.data.content import Array


def draw_split(n: int, sizes: Sequence[int], generator: np.random.Generator) -> tuple[Array, ...]:
    """Draw disjoint index sets i64, one a size, uniformly without replacement from ``range(n)``: a fresh split for every seed.

    Raises ``ValueError`` where the sizes exceed ``n`` or are not positive.
    """
    if any(size < 1 for size in sizes) or sum(sizes) > n:
        raise ValueError(f"draw_split takes positive sizes that sum to at most n = {n}, {list(sizes)} was given.")
    order = generator.permutation(n)
    return tuple(np.split(order[: sum(sizes)], np.cumsum(sizes)[:-1]))
