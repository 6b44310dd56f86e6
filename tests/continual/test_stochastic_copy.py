import pytest
import torch
from scipy import stats
from torch import nn

from neuropil.continual import StochasticCopy
from neuropil.learning import Replicas


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear(value, bias=True):
    net = nn.Linear(2, 3, bias=bias)
    with torch.no_grad():
        for one in net.parameters():
            one.fill_(value)
    return net


def test_an_update_at_every_step_is_an_exponential_average():
    """From 0 towards 1, n updates leave keep^n of the way."""
    held = StochasticCopy(linear(0.0), keep=0.8, probability=1.0, generators=[seeded()])
    for n in range(1, 6):
        assert held.update(linear(1.0)).tolist() == [True]
        torch.testing.assert_close(held.model.weight, torch.full((3, 2), 1 - 0.8**n))
    assert not held.model.weight.requires_grad


def test_updates_come_with_their_probability_and_otherwise_nothing_moves():
    held, model, count = StochasticCopy(linear(0.0), keep=0.5, probability=0.2, generators=[seeded()]), linear(1.0), 0
    for _ in range(500):
        before = held.model.weight.clone()
        due = bool(held.update(model))
        count += due
        assert due != torch.equal(held.model.weight, before) or float(before.min()) == 1.0
    assert stats.binomtest(count, 500, 0.2).pvalue > 0.001


def test_keep_zero_is_a_snapshot_and_probability_zero_none():
    model = linear(2.0)
    never = StochasticCopy(linear(0.0), keep=0.0, probability=0.0, generators=[seeded()])
    assert not any(bool(never.update(model)) for _ in range(50))
    assert float(never.model.weight.sum()) == 0
    never.take_over(model)
    assert torch.equal(never.model.weight, model.weight)
    assert float(never.distance(model)) == 0


def test_distance_is_relative_to_the_model_and_over_what_learns():
    held, model = StochasticCopy(linear(1.0), keep=0.0, probability=0.0, generators=[seeded()]), linear(2.0)
    assert float(held.distance(model)) == pytest.approx(0.5)
    model.bias.data.fill_(1.0)
    assert float(held.distance(model)) == pytest.approx((6 / 27) ** 0.5)
    model.bias.requires_grad_(False)
    assert float(held.distance(model)) == pytest.approx(0.5)


def test_replicas_decide_each_for_itself_as_they_do_alone():
    nets = [linear(float(k)) for k in range(4)]
    several = StochasticCopy(Replicas(nets), keep=0.3, probability=0.3, generators=[seeded(k) for k in range(4)])
    alone = [StochasticCopy(net, keep=0.3, probability=0.3, generators=[seeded(k)]) for k, net in enumerate(nets)]
    for step in range(20):
        moved = [linear(float(10 * step + k)) for k in range(4)]
        assert several.update(Replicas(moved)).tolist() == [bool(one.update(net)) for one, net in zip(alone, moved, strict=True)]
        for own, one in zip(several.model, alone, strict=True):
            assert torch.equal(own.weight, one.model.weight)
    apart = several.distance(Replicas(moved))
    torch.testing.assert_close(apart, torch.cat([one.distance(net) for one, net in zip(alone, moved, strict=True)]))


def test_refused():
    for bad in ({"keep": 1.5}, {"probability": -0.1}, {"generators": []}):
        with pytest.raises(ValueError, match="keep and probability from 0 to 1"):
            StochasticCopy(linear(0.0), **{"keep": 0.1, "probability": 0.1, "generators": [seeded()]} | bad)
    held = StochasticCopy(linear(0.0), keep=0.1, probability=0.1, generators=[seeded()])
    with pytest.raises(ValueError, match="of 1 models with tensors"):
        held.take_over(linear(0.0, bias=False))
