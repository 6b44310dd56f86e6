"""Consolidated synapses: the trace as it is counted by hand, the binomial law of what noise leaves, and the clipped matrix as a special case."""

import math

import pytest
import torch
from torch.testing import assert_close

from neuropil.data import sparse_patterns
from neuropil.memory import ConsolidatedHebb, WillshawMemory


def held(memory, patterns):
    s = memory.initial()
    for pattern in patterns:
        s = memory.write(s, pattern, pattern)
    return s


def test_a_trace_fades_and_a_synapse_stays():
    a, b = torch.tensor([1.0, 1, 0]), torch.tensor([0.0, 1, 1])
    memory = ConsolidatedHebb(3, winners=2, consolidation=1.4, retention=0.5)
    s = held(memory, [a, a])
    assert_close(s.c, 1.5 * torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]]))
    assert_close(s.w, (s.c > 0).float())
    for x in (b, torch.zeros(3), b, torch.zeros(3)):
        s = memory.write(s, x, x)
    assert s.c[0, 1] == 1.5 / 16
    assert s.c[1, 2] == (0.25 + 1) / 2
    assert s.w.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("threshold", [2, 4])
def test_synapses_kept_of_a_noisy_pattern_and_of_noise_follow_the_binomial(threshold):
    """One pattern shown 6 times, a cell lost with 0.3, another added with 0.1: a true pair is counted B(6, 0.49) times, a pair of a true and a false cell B(6, 0.07)."""
    size, active, shown = 400, 60, 6
    generator = torch.Generator().manual_seed(0)
    pattern = sparse_patterns(1, size, active, generator)[0]
    memory, kept, false = ConsolidatedHebb(size, winners=active, consolidation=threshold), [], []
    for _ in range(6):
        u = torch.rand(shown, size, generator=generator)
        w = held(memory, torch.where(pattern > 0, u >= 0.3, u < 0.1).float()).w
        kept.append(w[pattern > 0][:, pattern > 0].sum().item() / (active * (active - 1)))
        false.append(w[pattern > 0][:, pattern == 0].mean().item())
    for found, chance in ((kept, 0.49), (false, 0.07)):
        law = sum(math.comb(shown, n) * chance**n * (1 - chance) ** (shown - n) for n in range(threshold, shown + 1))
        assert sum(found) / 6 == pytest.approx(law, abs=0.2 * law + 0.002)


def test_at_one_coincidence_it_is_the_clipped_matrix():
    patterns = sparse_patterns(80, 60, 5, torch.Generator().manual_seed(1))
    clipped = held(WillshawMemory(60, 60), patterns).w
    assert_close(held(ConsolidatedHebb(60, winners=5, consolidation=1), patterns).w, clipped * (1 - torch.eye(60)))


def test_a_part_is_completed_and_noise_that_came_once_is_not_followed():
    generator = torch.Generator().manual_seed(2)
    patterns, astray = sparse_patterns(20, 100, 8, generator), sparse_patterns(20, 100, 2, generator)
    memory = ConsolidatedHebb(100, winners=8, consolidation=3)
    s = held(memory, [*patterns, *patterns, *torch.maximum(patterns, astray)])
    for pattern in patterns:
        part = pattern * (pattern.cumsum(0) <= 5)
        assert_close(memory.recall(s, part)[0], pattern)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: ConsolidatedHebb(True, winners=1), "size"),
        (lambda: ConsolidatedHebb(4, winners=0), "winners"),
        (lambda: ConsolidatedHebb(4, winners=2, consolidation=0), "consolidation"),
        (lambda: ConsolidatedHebb(4, winners=2, retention=1.5), "retention"),
        (lambda: ConsolidatedHebb(4, winners=2, inertia=-1), "inertia"),
        (lambda: ConsolidatedHebb(4, winners=2, steps=0.5), "steps"),
        (lambda: ConsolidatedHebb(2, winners=1).recall(ConsolidatedHebb(2, winners=1).initial(3), torch.ones(2)), "shape"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
