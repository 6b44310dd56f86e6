"""LeakyRate against the closed form of its ODE."""

import math

import pytest
import torch

from neuropil.cells import LeakyRate


@pytest.mark.parametrize("activation", [torch.tanh, torch.relu])
def test_a_held_input_is_followed_exactly_whatever_the_step(activation):
    tau = 0.05
    for dt in (1e-3, 1e-2):
        n = round(0.1 / dt)
        y, s = LeakyRate(2, tau=tau, dt=dt, activation=activation)(torch.tensor([0.8, -0.4], dtype=torch.float64).expand(n, 2))
        h = torch.tensor([0.8, -0.4], dtype=torch.float64) * (1 - math.exp(-0.1 / tau))
        torch.testing.assert_close(s.h, h, rtol=1e-6, atol=0)
        torch.testing.assert_close(y[-1], activation(h), rtol=1e-6, atol=0)
