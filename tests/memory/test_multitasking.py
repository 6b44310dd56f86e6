import math

import pytest
import torch
from scipy.optimize import brentq
from torch.testing import assert_close

from neuropil.memory.multitasking import (
    MultitaskingHebbian,
    diluted_patterns,
    hierarchical_overlaps,
    mean_field_overlaps,
    mean_field_step,
    noisy_examples,
    overlaps,
)


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def filled(pattern, g):
    return torch.where(pattern == 0, torch.randint(2, pattern.shape, generator=g).float() * 2 - 1, pattern)


def test_without_dilution_the_equations_are_those_of_the_curie_weiss_magnet():
    """amit1985: a pure state of the Hopfield network at low load has m = tanh(beta m), and none below beta = 1."""
    for beta in (1.2, 2.0, 5.0):
        m = brentq(lambda m, beta=beta: m - math.tanh(beta * m), 1e-3, 1)
        assert_close(
            mean_field_overlaps(torch.tensor([1.0, 0, 0]), 0.0, beta), torch.tensor([m, 0, 0], dtype=torch.float64), atol=1e-8, rtol=0
        )
    assert mean_field_overlaps(torch.tensor([1.0, 0, 0]), 0.0, 0.9).abs().max() < 1e-8


def test_order_appears_where_beta_times_the_share_of_entries_is_one():
    """Linearised, m = beta (1 - d) m: agliari2012 has T_c = 1 - d."""
    for d in (0.2, 0.6):
        below, above = (mean_field_overlaps(torch.tensor([0.5, 0.1]), d, c / (1 - d)) for c in (0.95, 1.05))
        assert below.abs().max() < 1e-6
        assert above.max() > 0.05


@pytest.mark.parametrize("d", [0.1, 0.3, 0.45])
def test_mild_dilution_gives_the_hierarchy_in_theory_and_in_a_network(d):
    expected = hierarchical_overlaps(3, d)
    assert_close(expected, torch.tensor([1 - d, (1 - d) * d, (1 - d) * d * d], dtype=torch.float64))
    assert_close(mean_field_overlaps(expected, d, math.inf), expected)
    assert_close(mean_field_overlaps(expected, d, 200.0), expected, atol=0.03, rtol=0)
    g = draws(1)
    patterns = diluted_patterns(3, 20_000, d, g)
    assert (patterns == 0).float().mean() == pytest.approx(d, abs=0.01)
    s = MultitaskingHebbian(patterns).settle(filled(patterns[0], g), sweeps=50, generator=g)
    found = overlaps(patterns, s).abs().double()
    assert found.argmax() == 0
    assert_close(found.sort(descending=True).values, expected, atol=0.02, rtol=0)


def test_parallel_dynamics_of_a_network_follow_the_mean_field_step_by_step():
    d, beta, n = 0.35, 3.0, 100_000
    g = draws(2)
    patterns = diluted_patterns(3, n, d, g)
    net = MultitaskingHebbian(patterns)
    s = torch.where(torch.rand(n, generator=g) < 0.35, -1.0, 1.0) * filled(patterns[0], g)
    m = overlaps(patterns, s).double()
    assert m[0] < 0.3
    for _ in range(6):
        s, m = net.settle(s, sweeps=1, beta=beta, blocks=1, generator=g), mean_field_step(m, d, beta)
        assert_close(overlaps(patterns, s).double(), m, atol=6 / n**0.5, rtol=0)
    assert m[0] > 0.5


@pytest.mark.parametrize(("d", "scaled"), [(0.2, 2.0), (0.6, 3.0), (0.85, 3.0)])
def test_sequential_monte_carlo_rests_at_the_self_consistent_overlaps(d, scaled):
    beta, g = scaled / (1 - d), draws(3)
    patterns = diluted_patterns(3, 20_000, d, g)
    net = MultitaskingHebbian(patterns)
    s = net.settle(filled(patterns[0], g), sweeps=60, beta=beta, blocks=20, generator=g)
    seen = []
    for _ in range(30):
        s = net.settle(s, sweeps=1, beta=beta, blocks=20, generator=g)
        seen.append(overlaps(patterns, s))
    found, expected = torch.stack(seen).mean(0).abs().double(), mean_field_overlaps(torch.tensor([1 - d, 0.02, 0.01]), d, beta)
    assert_close(found.sort().values, expected.sort().values, atol=0.025, rtol=0)


def test_fields_are_those_of_the_couplings_and_updates_in_turn_never_raise_the_energy():
    g = draws(4)
    factors = torch.randn(5, 40, generator=g)
    net = MultitaskingHebbian(factors)
    couplings = factors.mT @ factors / 40
    couplings.fill_diagonal_(0)
    s = torch.randint(2, (3, 40), generator=g).float() * 2 - 1
    assert_close(net.field(s), s @ couplings)
    before = net.energy(s)
    assert_close(before, -0.5 * (s @ couplings * s).sum(-1))
    for _ in range(5):
        s = net.settle(s, sweeps=1, blocks=40, generator=g)
        assert (net.energy(s) <= before + 1e-5).all()
        before = net.energy(s)
    rest = net.settle(s, sweeps=50, blocks=40, generator=g)
    assert ((net.field(rest) * rest) >= -1e-6).all()


def test_examples_have_their_quality_and_a_majority_of_them_teaches_the_pattern():
    """A class mean has the wrong sign in an entry with probability P(Binomial(M, (1 + r) / 2) < M / 2); the taught network rests there."""
    g, r, m = draws(5), 0.3, 15
    patterns = diluted_patterns(2, 40_000, 0.2, g)
    examples = noisy_examples(patterns, m, r, g)
    assert ((examples == 0) == (patterns == 0).unsqueeze(1)).all()
    assert (examples * patterns.unsqueeze(1)).sum() / (m * patterns.abs().sum()) == pytest.approx(r, abs=0.01)
    p = (1 + r) / 2
    wrong = sum(math.comb(m, k) * p**k * (1 - p) ** (m - k) for k in range(m // 2 + 1))
    taught = MultitaskingHebbian(examples[:1].mean(1))
    s = taught.settle(filled(patterns[0], g), sweeps=20, generator=g)
    assert overlaps(patterns, s)[0] == pytest.approx(0.8 * (1 - 2 * wrong), abs=0.01)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: diluted_patterns(2, 5, 1.5, draws()), "dilution"),
        (lambda: noisy_examples(torch.ones(2, 5), 3, -0.1, draws()), "quality"),
        (lambda: MultitaskingHebbian(torch.ones(2, 3, 4)), "factors"),
        (lambda: MultitaskingHebbian(torch.ones(2, 4)).settle(torch.ones(5), sweeps=1), "states"),
        (lambda: mean_field_overlaps(torch.tensor([1.0]), 0.0, 2.0, steps=2), "more steps"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
