"""Hopfield's memory against what is known of it in closed form: errors of one step, the load at which it breaks, energy."""

import itertools
import math
from statistics import NormalDist

import pytest
import torch
from scipy.optimize import brentq
from scipy.special import erf
from torch.testing import assert_close

from neuropil.data import sparse_patterns
from neuropil.memory import Hopfield


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def held(memory, patterns):
    s = memory.initial()
    for pattern in patterns:
        s = memory.write(s, pattern, pattern)
    return s


def asked(memory, s, cues):
    """Ask one memory with many cues."""
    return memory.recall(type(s)(s.w.expand(len(cues), -1, -1)), cues)[0]


def test_a_write_is_the_sum_over_patterns_pair_by_pair():
    x = (torch.rand(3, 5, generator=generator()) < 0.4).double()
    memory = Hopfield(5, activity=0.4)
    s = memory.initial(dtype=torch.float64)
    for pattern in x:
        s = memory.write(s, pattern, pattern)
    for i, j in itertools.product(range(5), range(5)):
        expected = 0.0 if i == j else sum((p[i] - 0.4) * (p[j] - 0.4) for p in x.tolist())
        assert s.w[i, j].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("activity", "load"), [(0.5, 0.185), (0.5, 0.37), (0.1, 1.0), (0.05, 1.6)])
def test_cells_wrong_after_one_step_are_as_many_as_signal_to_noise_says(activity, load):
    """Phi(-sqrt(N / (4 M f (1 - f)))); at f = 1/2 the table of hertz1991: 0.01 at a load of 0.185, 0.05 at 0.37."""
    size = 1000
    law = NormalDist().cdf(-0.5 * math.sqrt(1 / (load * activity * (1 - activity))))
    if activity == 0.5:
        assert law == pytest.approx({0.185: 0.01, 0.37: 0.05}[load], rel=0.01)
    patterns = sparse_patterns(round(load * size), size, round(activity * size), generator())
    memory = Hopfield(size, activity=activity, steps=1)
    s = held(memory, patterns)
    shown = patterns[:60]
    wrong = (asked(memory, s, shown) != shown).float().mean().item()
    assert wrong == pytest.approx(law, rel=0.12)
    patterns_held = memory.capacity(round(activity * size), round(activity * size), wrong=law / activity)
    assert patterns_held == pytest.approx(load * size, rel=1e-6)


def overlap_of(load):
    """The overlap at zero temperature in amit1985: y = erf(y) / (sqrt(2 load) + 2 / sqrt(pi) exp(-y^2)), m = erf(y); 0 where there is none but y = 0."""
    gap = lambda y: erf(y) / (math.sqrt(2 * load) + 2 / math.sqrt(math.pi) * math.exp(-y * y)) - y  # noqa: E731
    grid = [0.05 * k for k in range(1, 200)]
    above = [y for y in grid if gap(y) > 0]
    return erf(brentq(gap, above[-1], above[-1] + 0.05)) if above else 0.0


def test_dense_patterns_are_held_up_to_a_load_of_0138_and_lost_beyond():
    """Its equations have a solution other than 0 up to 0.138; below, networks settle at the overlap that it predicts, well above, they leave the pattern."""
    assert overlap_of(0.137) > 0.96
    assert overlap_of(0.139) == 0
    size = 1000
    for load, tolerance in ((0.05, 0.001), (0.1, 0.01)):
        patterns = sparse_patterns(round(load * size), size, size // 2, generator(1))
        memory = Hopfield(size)
        shown = patterns[:40]
        found = asked(memory, held(memory, patterns), shown)
        overlap = ((2 * found - 1) * (2 * shown - 1)).mean().item()
        assert overlap == pytest.approx(overlap_of(load), abs=tolerance)
    patterns = sparse_patterns(220, size, size // 2, generator(2))
    memory = Hopfield(size)
    found = asked(memory, held(memory, patterns), patterns[:40])
    assert ((2 * found - 1) * (2 * patterns[:40] - 1)).mean() < 0.6


def test_sparse_patterns_need_the_covariance_rule():
    """N patterns of 20 of 1,000 cells: held to 1 % by the rule for sparse patterns, not by the rule for dense ones, with as many winners."""
    size, active = 1000, 20
    patterns = sparse_patterns(1000, size, active, generator(3))
    right = {}
    for activity in (active / size, 0.5):
        memory = Hopfield(size, activity=activity, winners=active)
        shown = patterns[:40]
        right[activity] = (asked(memory, held(memory, patterns), shown) * shown).sum().item() / shown.sum().item()
    assert right[active / size] > 0.99
    assert right[0.5] < 0.7


@pytest.mark.parametrize(("activity", "threshold"), [(0.5, 0.0), (0.25, 0.0), (0.25, 1.5)])
def test_energy_never_rises_when_cells_take_turns(activity, threshold):
    """Cell by cell, by the change written out: -(x' - x) times the field; at the end no single cell can lower it."""
    size = 40
    patterns = (torch.rand(9, size, generator=generator(4)) < activity).double()
    memory = Hopfield(size, activity=activity, threshold=threshold, order="asynchronous", steps=50)
    s = memory.initial(dtype=torch.float64)
    for pattern in patterns:
        s = memory.write(s, pattern, pattern)
    x, falls = (torch.rand(size, generator=generator(5)) < 0.5).double(), 0
    for _ in range(4):
        for cell in range(size):
            h, before = memory.field(s, x), memory.energy(s, x)
            new = x.clone()
            new[cell] = float(h[cell] > 0) if h[cell] != 0 else x[cell]
            assert_close(memory.energy(s, new) - before, -(new[cell] - x[cell]) * h[cell], atol=1e-9, rtol=0)
            falls += int(memory.energy(s, new) < before)
            x = new
    assert falls > 5
    found, _ = memory.recall(s, (torch.rand(size, generator=generator(5)) < 0.5).double())
    assert_close(found, x)
    lowest = memory.energy(s, found)
    for cell in range(size):
        other = found.clone()
        other[cell] = 1 - other[cell]
        assert memory.energy(s, other) >= lowest - 1e-9


def test_a_part_of_a_sparse_pattern_is_completed_by_winners_and_by_the_step_midway():
    patterns = sparse_patterns(25, 200, 10, generator(6))
    parts = patterns * (torch.cumsum(patterns, -1) <= 6)
    for memory in (Hopfield(200, activity=0.05, winners=10), Hopfield(200, activity=0.05)):
        assert_close(asked(memory, held(memory, patterns), parts), patterns)


def test_pairs_walk_along_a_sequence():
    patterns = sparse_patterns(12, 300, 15, generator(7))
    memory = Hopfield(300, activity=0.05, winners=15, steps=1)
    s = memory.initial()
    for cue, content in itertools.pairwise(patterns):
        s = memory.write(s, cue, content)
    x = patterns[0]
    for content in patterns[1:]:
        x, _ = memory.recall(s, x)
        assert_close(x, content)
    assert_close(Hopfield(300, activity=0.05, winners=15, steps=11).recall(s, patterns[0])[0], patterns[-1])


@pytest.mark.parametrize(
    ("make", "kind", "word"),
    [
        (lambda: Hopfield(0), ValueError, "size"),
        (lambda: Hopfield(4, activity=1.0), ValueError, "activity"),
        (lambda: Hopfield(4, winners=5), ValueError, "winners"),
        (lambda: Hopfield(4, winners=2, threshold=1.0), ValueError, "winners"),
        (lambda: Hopfield(4, inertia=1.0), ValueError, "inertia"),
        (lambda: Hopfield(4, steps=0), ValueError, "steps"),
        (lambda: Hopfield(4, order="random"), ValueError, "order"),
        (lambda: Hopfield(4, inhibition=math.nan), ValueError, "inhibition"),
        (lambda: Hopfield(4).capacity(5, 2), ValueError, "cue_active"),
        (lambda: Hopfield(4).capacity(2, 2, wrong=0.0), ValueError, "wrong"),
        (lambda: Hopfield(2).write(Hopfield(2).initial(), torch.ones(2), torch.ones(3)), ValueError, "content"),
        (lambda: Hopfield(2).recall(Hopfield(2).initial(), torch.tensor([0.5, 1])), ValueError, "binarise"),
    ],
)
def test_bad_input(make, kind, word):
    with pytest.raises(kind, match=word):
        make()
