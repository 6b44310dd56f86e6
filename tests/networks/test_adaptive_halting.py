"""AdaptiveHalting against torch's GRUCell, sums over all ways to halt, and gradients of an expectation by enumeration."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from neuropil.networks import AdaptiveHalting, Halting, bhattacharyya, expected_hops, halting_loss, halts


def halting(**given):
    return AdaptiveHalting(3, units=4, generator=torch.Generator().manual_seed(1), **{"explore": 0.0, **given}).double()


SEEN = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_its_unit_is_torchs():
    part, theirs, s = halting(), nn.GRUCell(3, 4).double(), torch.zeros(5, 4, dtype=torch.float64)
    with torch.no_grad():
        for tensor in part.parameters():
            tensor += 0.1
        for own, name in ((part.hear, "ih"), (part.keep, "hh")):
            theirs.get_parameter(f"weight_{name}").copy_(own.weight)
            theirs.get_parameter(f"bias_{name}").copy_(own.bias)
    told = part(SEEN)
    for t in range(4):
        s = theirs(SEEN[:, t], s)
        score, value = part.readout(s).unbind(1)
        assert_close(told.value[:, t], value)
        if t < 3:
            assert_close(told.log_stop[:, t], nn.functional.logsigmoid(score))
            assert_close(told.log_go[:, t], nn.functional.logsigmoid(-score))
    assert_close(told.log_stop[:, 3], torch.zeros(5, dtype=torch.float64))


def test_strength_0_never_halts_before_the_end_and_strength_1_does():
    assert (halts(halting(strength=0.0)(SEEN).log_stop, 0.01) == 3).all()
    assert (halts(halting()(SEEN).log_stop, 0.01) == 0).all()
    assert_close(expected_hops(halting(strength=0.0)(SEEN)), torch.full((5,), 4.0, dtype=torch.float64), atol=1e-4, rtol=0)


def test_exploring_moves_no_chance_across_a_half():
    plain, tried = (halting(explore=e)(SEEN).log_stop.exp()[:, :3] for e in (0.0, 0.1))
    assert_close(tried, 0.1 + 0.8 * plain)
    assert torch.equal(plain > 0.5, tried > 0.5)


def test_expected_hops_are_a_sum_over_ways_to_halt():
    pi = halting()(SEEN).log_stop.exp()
    expected, going = torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    for t in range(4):
        expected += (t + 1) * going * pi[:, t]
        going = going * (1 - pi[:, t])
    assert_close(expected_hops(halting()(SEEN)), expected)


def test_draws_halt_as_often_as_they_should():
    log_stop = torch.tensor([0.2, 0.5, 1.0]).log().expand(200000, 3)
    at = halts(log_stop, torch.rand(200000, 3, generator=torch.Generator().manual_seed(9)))
    assert_close(at.bincount(minlength=3) / 200000, torch.tensor([0.2, 0.4, 0.4]), atol=0.005, rtol=0)


def test_the_mean_gradient_over_draws_is_that_of_the_expected_reward():
    part, reward = halting(), torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    told = part(SEEN[:1])
    pi = told.log_stop[0].exp()
    ways = torch.stack([pi[k] * (1 - pi[:k]).prod() for k in range(4)])
    exact = torch.autograd.grad(-(ways * reward).sum(), part.readout.weight, retain_graph=True)[0][0]
    mean = torch.zeros_like(exact)
    for k in range(4):
        loss = halting_loss(Halting(*(one[:1] for one in told)), torch.tensor([k]), reward[k : k + 1], hop_cost=0.0, value_weight=0.0)
        mean += float(ways[k].detach()) * torch.autograd.grad(loss, part.readout.weight, retain_graph=True)[0][0]
    assert_close(mean, exact)


def test_what_hops_cost_what_is_expected_and_entropy_count():
    told, at, reward = halting()(SEEN), torch.tensor([0, 1, 2, 3, 3]), torch.ones(5, dtype=torch.float64)
    plain = halting_loss(told, at, reward, hop_cost=0.0, value_weight=0.0)
    assert_close(halting_loss(told, at, reward, hop_cost=1.0, value_weight=0.0) - plain, expected_hops(told).mean())
    chances = torch.distributions.Bernoulli(told.log_stop[:, :3].exp())
    entropy = (chances.entropy() * (torch.arange(3) <= at.unsqueeze(1))).sum(1).mean()
    assert_close(plain - halting_loss(told, at, reward, hop_cost=0.0, value_weight=0.0, entropy_weight=1.0), entropy)
    gaps = (1 - told.value).square()
    expected = sum(gaps[k, : at[k] + 1].sum() for k in range(5)) / 5
    assert_close(halting_loss(told, at, reward, hop_cost=0.0, value_weight=1.0) - plain, expected)


def test_bhattacharyya_of_the_same_is_0_and_of_two_normals_closed():
    x = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    one, two = (torch.softmax(-((x - m) ** 2) / 2, 0) for m in (0.0, 2.0))
    assert_close(bhattacharyya(one, one), torch.tensor(0.0, dtype=torch.float64))
    assert_close(bhattacharyya(one, two), torch.tensor(2.0**2 / 8, dtype=torch.float64))


def test_what_is_observed_is_not_learned_through_it():
    seen = SEEN.clone().requires_grad_()
    assert not torch.autograd.grad(halting()(seen).value.sum(), seen, allow_unused=True)[0]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: AdaptiveHalting(0), "observed"),
        (lambda: halting(strength=2.0), "strength"),
        (lambda: halting(explore=0.5), "explore"),
        (lambda: halting()(SEEN[..., :2]), "observes"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
