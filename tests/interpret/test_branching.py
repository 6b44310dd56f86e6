"""Branching: both measures find the parameter of branching processes whose parameter is known."""

import math

import numpy as np
import pytest
import torch

from neuropil.interpret import branching_factor, branching_parameter


def process(m, drive, steps, seed=0):
    """A branching process with immigration: every spike has Poisson(m) daughters, and Poisson(drive) spikes come from outside."""
    draws, a = np.random.default_rng(seed), np.zeros(steps)
    a[0] = drive / (1 - m)
    for t in range(1, steps):
        a[t] = draws.poisson(m * a[t - 1] + drive)
    return a


@pytest.mark.parametrize(("m", "lags"), [(0.6, 4), (0.9, 20), (0.98, 40)])
def test_the_parameter_of_a_driven_process_is_found_also_where_a_tenth_is_seen(m, lags):
    activity = process(m, drive=20.0, steps=200_000)
    seen = np.random.default_rng(1).binomial(activity.astype(int), 0.1)
    for given, within in ((activity, 0.01), (seen, 0.02)):
        assert branching_parameter(torch.from_numpy(given.astype(float)), lags) == pytest.approx(m, abs=within)


def test_repetitions_are_pooled():
    runs = torch.from_numpy(np.stack([process(0.9, 10.0, 2_000, seed) for seed in range(20)]))
    assert branching_parameter(runs, lags=15) == pytest.approx(0.9, abs=0.015)


def tree(m, targets=8, cells=4000, steps=40, roots=12, seed=0):
    """Spikes of a sparse random network without loops worth speaking of, in which each spike passes each of its synapses with probability ``m / targets``."""
    draws = np.random.default_rng(seed)
    out = np.stack([draws.choice(cells, targets, replace=False) for _ in range(cells)])
    spikes, now = np.zeros((steps, cells)), set(draws.choice(cells, roots, replace=False))
    for t in range(steps):
        spikes[t, list(now)] = 1
        now = {i for j in now for i in out[j] if draws.random() < m / targets} | {int(draws.integers(cells))}
    connected = np.zeros((cells, cells))
    connected[out.ravel(), np.repeat(np.arange(cells), targets)] = 1
    return torch.from_numpy(spikes), torch.from_numpy(connected)


@pytest.mark.parametrize("m", [0.5, 1.0])
def test_the_factor_of_avalanches_that_do_not_meet_is_the_parameter(m):
    found = []
    for seed in range(4):
        spikes, connected = tree(m, seed=seed)
        found.append(branching_factor(spikes.unsqueeze(0), connected, window=1))
    assert np.mean(found) == pytest.approx(m, abs=0.08)


def test_the_factor_counts_descendants_over_ancestors_of_each_spike():
    connected = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])
    spikes = torch.zeros(1, 9, 3)
    spikes[0, 2, 0] = spikes[0, 4, 1] = spikes[0, 5, 2] = 1
    # cell 0: two descendants, no ancestor (counted as 1); cell 1: one and one; cell 2: none and two
    assert branching_factor(spikes, connected, window=3) == pytest.approx((1 / 1 + 0) / 2)
    assert branching_factor(spikes[:, :7], connected, window=2) == pytest.approx((1 / 1 + 1 / 1) / 2)


def test_silence_has_no_factor_and_no_memory():
    assert math.isnan(branching_factor(torch.zeros(1, 20, 3), torch.ones(3, 3)))
    with pytest.raises(ValueError, match="does not remember itself"):
        branching_parameter(torch.ones(50), lags=5)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="more than 6 steps"):
        branching_parameter(torch.ones(4), lags=5)
    with pytest.raises(ValueError, match=r"connected \[M, M\]"):
        branching_factor(torch.zeros(1, 20, 3), torch.ones(2, 2))
