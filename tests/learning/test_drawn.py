import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from neuropil.learning import Replicas, learn_from_draws
from neuropil.learning.drawn import one_cycle


def task(step):
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(16, 3, generator=generator)
    return x, x @ torch.tensor([[1.0], [-2.0], [0.5]])


def linear(seed):
    torch.manual_seed(seed)
    return nn.Linear(3, 1)


def test_it_learns_what_is_drawn():
    model = linear(0)
    losses = learn_from_draws(model, task, mse_loss, steps=300, rate=0.05)
    assert len(losses) == 300
    assert losses[-1] < 1e-3 < losses[0]
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[1.0, -2.0, 0.5]]), atol=0.02, rtol=0)


def test_replicas_learn_as_each_would_alone():
    alone, together = [linear(seed) for seed in (1, 2)], Replicas([linear(seed) for seed in (1, 2)])
    losses = [learn_from_draws(model, task, mse_loss, steps=20, rate=0.05) for model in alone]
    both = learn_from_draws(together, lambda step: [part.expand(2, *part.shape) for part in task(step)], mse_loss, steps=20, rate=0.05)
    for model, copy in zip(alone, together.unstack(), strict=True):
        torch.testing.assert_close(copy.weight, model.weight)
    assert both == pytest.approx([sum(pair) / 2 for pair in zip(*losses, strict=True)], rel=1e-4)


def test_the_rate_rises_once_and_falls_once():
    for steps, warm_up in ((1, 0.2), (4, 0.2), (5, 0.2), (100, 0.2), (100, 0.0), (100, 0.9)):
        shares = [one_cycle(step, steps, warm_up) for step in range(steps)]
        top = shares.index(max(shares))
        assert shares[top] == pytest.approx(1.0)
        assert top == max(0, round(warm_up * steps) - 1)
        assert shares[: top + 1] == sorted(shares[: top + 1])
        assert shares[top:] == sorted(shares[top:], reverse=True)
        assert min(shares) > 0
        assert one_cycle(steps, steps, warm_up) == pytest.approx(0.0)


def test_the_first_step_is_small_and_gradients_are_held():
    model = linear(0)
    before = model.weight.detach().clone()
    learn_from_draws(model, lambda step: (torch.full((1, 3), 1e6), torch.zeros(1, 1)), mse_loss, steps=1, rate=0.01, warm_up=0.0)
    assert (model.weight - before).abs().max() <= 0.0101


def test_what_it_cannot_do_is_said():
    for wrong in ({"steps": 0}, {"steps": 3, "warm_up": 1.0}):
        with pytest.raises(ValueError, match="one step or more and warm_up"):
            learn_from_draws(linear(0), task, mse_loss, rate=0.1, **wrong)
