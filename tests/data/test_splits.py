from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropil.data import draw_split


@given(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(0, 10), st.integers(0, 1000))
def test_sets_are_disjoint_and_of_the_sizes_asked_for(sizes: list[int], spare: int, seed: int) -> None:
    n = sum(sizes) + spare
    parts = draw_split(n, sizes, np.random.default_rng(seed))
    assert [len(part) for part in parts] == sizes
    together = np.concatenate(parts)
    assert len(set(together.tolist())) == sum(sizes)
    assert together.min() >= 0
    assert together.max() < n


def test_every_item_is_equally_likely() -> None:
    generator = np.random.default_rng(0)
    counts = np.bincount(np.concatenate([draw_split(10, [3, 2], generator)[0] for _ in range(4000)]), minlength=10)
    # binomial(4000, 0.3): mean 1200, standard deviation 29; five of them
    assert np.abs(counts - 1200).max() < 145


def test_one_generator_one_split() -> None:
    first, again = (draw_split(50, [20, 5], np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    other = draw_split(50, [20, 5], np.random.default_rng(8))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("sizes", [[6, 5], [0, 3], [-1]])
def test_impossible_sizes_are_refused(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="at most n = 10"):
        draw_split(10, sizes, np.random.default_rng(0))
