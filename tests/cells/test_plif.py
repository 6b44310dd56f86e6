"""PLIF: the closed form of the membrane, and the gradient of tau against finite differences."""

import math

import pytest
import torch

from neuropil.cells import PLIF
from neuropil.dynamics import smoothed


def test_a_constant_current_draws_the_membrane_to_itself():
    y, s = PLIF(1, tau=0.02, dt=1e-3)(torch.full((50, 1), 0.9, dtype=torch.float64))
    assert y.sum() == 0
    assert s.v.item() == pytest.approx(0.9 * (1 - math.exp(-0.05 / 0.02)), rel=1e-6)


@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_the_gradient_of_tau_is_that_of_finite_differences(per_neuron, reset):
    cell = PLIF(3, tau=0.01, dt=1e-3, per_neuron=per_neuron, reset=reset).double()
    x = 2.5 * torch.rand(25, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    log_tau = cell.decay.log_tau

    def loss():
        y, s = cell(x)
        return y.square().sum() + s.v.sum()

    with smoothed(cell):
        (gradient,) = torch.autograd.grad(loss(), log_tau)
        for place in range(log_tau.numel()):
            sides = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    log_tau.view(-1)[place] += step
                    sides.append(float(loss()))
                    log_tau.view(-1)[place] -= step
            assert float(gradient.view(-1)[place]) == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-5)


def test_learning_recovers_a_time_constant_and_keeps_it_positive():
    x = torch.full((20, 1), 0.9, dtype=torch.float64)
    target = PLIF(1, tau=0.05, dt=1e-3).double()(x)[1].v.detach()
    cell = PLIF(1, tau=0.005, dt=1e-3).double()
    optimizer = torch.optim.Adam(cell.parameters(), lr=0.1)
    for _ in range(120):
        optimizer.zero_grad()
        (cell(x)[1].v - target).square().mean().backward()
        optimizer.step()
        assert cell.decay.tau.item() > 0
    assert cell.decay.tau.item() == pytest.approx(0.05, rel=0.01)


def test_per_neuron_needs_a_size():
    with pytest.raises(ValueError, match="has no size"):
        PLIF(tau=0.02, dt=1e-3, per_neuron=True)
