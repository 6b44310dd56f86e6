from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from neuropil.continual import ClassBalancedStore


def store(capacity, seed=0):
    return ClassBalancedStore(capacity, generator=torch.Generator().manual_seed(seed))


def test_it_never_holds_more_than_its_bytes_and_counts_them():
    draws, held = np.random.default_rng(0), store(1000)
    sizes = draws.integers(1, 120, 300).tolist()
    for name, size in enumerate(sizes):
        held.add(name, name % 7, size)
        assert held.used == sum(sizes[k] for k in held.names) <= 1000
        assert sum(held.counts.values()) == len(held) == len(held.names)
        assert Counter(k % 7 for k in held.names) == {c: n for c, n in held.counts.items() if n}


def test_class_after_class_ends_balanced():
    held = store(40)
    for name in range(500):
        held.add(name, name // 100, 1)
        counts = list(held.counts.values())
        assert len(held) == min(name + 1, 40)
        if name % 100 == 99:
            assert max(counts) - min(counts) <= 1
    assert held.counts == dict.fromkeys(range(5), 8)


def test_within_a_class_what_leaves_is_random():
    """One class, room for one of three: the last stays with probability 1/2 and the first two share the rest."""
    stays = Counter()
    for seed in range(900):
        held = store(1, seed)
        for name in range(3):
            held.add(name, 0, 1)
        stays.update(held.names)
    assert chisquare([stays[k] for k in range(3)], [225, 225, 450]).pvalue > 0.01


def test_draws_are_distinct_and_even():
    held = store(100)
    for name in range(10):
        held.add(name, name % 3, 10)
    found = Counter()
    for _ in range(400):
        drawn = held.draw(4)
        assert len(set(drawn)) == 4
        found.update(drawn)
    assert chisquare([found[k] for k in range(10)]).pvalue > 0.01
    assert sorted(held.draw(99)) == list(range(10))


def test_nothing_fits_into_nothing():
    held = store(0)
    held.add(0, 0, 1)
    assert len(held) == held.used == 0


def test_what_it_cannot_take_is_refused():
    held = store(5)
    held.add(3, 0, 1)
    for call, said in (
        (lambda: store(-1), "-1 was given"),
        (lambda: held.add(3, 0, 1), "Example 3 is held already"),
        (lambda: held.add(4, 0, 0), "0 was given"),
        (lambda: store(5).draw(1), "1 were asked for; add some first"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
