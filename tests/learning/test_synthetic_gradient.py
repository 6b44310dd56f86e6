"""SyntheticGradient against NumPy, and ``taught`` against the two-pass computation that it stands for."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from neuropil.learning import Replicas, SyntheticGradient, taught


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def predictor(units=3, modulators=2):
    part = SyntheticGradient(units, modulators, 4, generator=draws()).double()
    with torch.no_grad():
        for tensor in (part.outer.weight, part.outer.bias, part.inner.bias):
            tensor.copy_(torch.randn(tensor.shape, generator=draws(1), dtype=torch.float64))
    return part


def test_a_prediction_is_what_numpy_gives():
    part, h, m = predictor(), torch.randn(5, 3, generator=draws(2)).double(), torch.randn(5, 2, generator=draws(3)).double()
    inner, outer = ((one.weight.detach().numpy(), one.bias.detach().numpy()) for one in (part.inner, part.outer))
    expected = np.tanh(np.concatenate((h, m), 1) @ inner[0].T + inner[1]) @ outer[0].T + outer[1]
    assert_close(part(h, m).detach().numpy(), expected)


def test_nothing_is_predicted_at_first_and_nothing_flows_back_into_what_is_seen():
    h, m = torch.randn(5, 3, requires_grad=True), torch.randn(5, 2, requires_grad=True)
    assert not SyntheticGradient(3, 2)(h, m).any()
    predictor()(h.double(), m.double()).sum().backward()
    assert h.grad is None
    assert m.grad is None


class Chain(nn.Module):
    """Two moments of a recurrence whose hidden states are predicted for; the loss is a mean over items."""

    def __init__(self, seed=0, teach=True):
        super().__init__()
        self.w, self.teach = nn.Parameter(torch.randn(3, 3, generator=draws(seed)).double()), teach
        self.predictor = predictor()

    def forward(self, x, m):
        h, states = x, []
        for _ in range(2):
            h = (h @ self.w).tanh()
            predicted = self.predictor(h, m)
            if self.teach:
                h = taught(h, predicted, 1 / len(x))
            states.append((h, predicted))
        self.states = states
        return h.square().sum(-1).mean()


def test_one_backward_pass_teaches_what_two_would():
    x, m = torch.randn(6, 3, generator=draws(4)).double(), torch.randn(6, 2, generator=draws(5)).double()
    once, twice = Chain(), Chain(teach=False)
    once(x, m).backward()
    loss = twice(x, m)
    states, predicted = zip(*twice.states, strict=True)
    true = [6 * g for g in torch.autograd.grad(loss, states, retain_graph=True)]  # each item's own loss, not its share of the mean
    error = sum((g - t).square().sum(-1).mean() / 2 for g, t in zip(predicted, true, strict=True))
    (loss + error).backward()
    for mine, theirs in zip(once.parameters(), twice.parameters(), strict=True):
        assert_close(mine.grad, theirs.grad)


def test_replicas_are_taught_each_by_its_own():
    x, m = torch.randn(2, 6, 3, generator=draws(4)).double(), torch.randn(2, 6, 2, generator=draws(5)).double()
    alone = [Chain(seed) for seed in (0, 1)]
    together = Replicas([Chain(0), Chain(1)])
    together(x, m).sum().backward()
    for k, one in enumerate(alone):
        one(x[k], m[k]).backward()
        for name, parameter in one.named_parameters():
            assert_close(dict(together.model.named_parameters())[name].grad[k], parameter.grad)


def test_a_taught_predictor_finds_a_gradient_that_is_a_function_of_what_it_sees():
    part, source = SyntheticGradient(2, 1, 32, generator=draws()).double(), draws(7)
    optimizer = torch.optim.Adam(part.parameters(), 0.02)
    for _ in range(300):
        h, m = (2 * torch.rand(64, n, generator=source, dtype=torch.float64) - 1 for n in (2, 1))
        optimizer.zero_grad()
        loss = (taught(h.requires_grad_(), part(h, m), 1 / 64) - m).square().sum() / 128
        loss.backward()  # an item's gradient is h - m
        optimizer.step()
    true = h.detach() - m
    assert float((part(h, m) - true).detach().square().mean()) < 0.02 * float(true.square().mean())


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="units"):
        SyntheticGradient(0, 1)
