"""The refractory period lengthens every interval of the LIF's closed form by exactly its steps."""

import math

import pytest
import torch

from neuropil.cells import RefractoryLIF


@pytest.mark.parametrize("refractory", [0.0, 1e-3, 5e-3])
def test_intervals_are_the_closed_form_plus_the_period(refractory):
    tau, dt, current = 0.02, 1e-4, 2.0
    x = torch.full((4000, 1), current * (1 - math.exp(-dt / tau)), dtype=torch.float64)
    y, _ = RefractoryLIF(1, tau=tau, dt=dt, reset="hard", refractory=refractory)(x)
    steps = math.ceil(tau * math.log(current / (current - 1)) / dt)
    found = torch.nonzero(y[:, 0]).flatten()
    assert int(found[0]) == steps - 1
    assert found.diff().unique().tolist() == [steps + round(refractory / dt)]


def test_strong_input_fires_once_a_period():
    y, _ = RefractoryLIF(1, dt=1e-3, refractory=4e-3)(torch.full((50, 1), 100.0))
    assert torch.nonzero(y[:, 0]).flatten().tolist() == list(range(0, 50, 5))


def test_a_negative_period_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        RefractoryLIF(1, dt=1e-3, refractory=-1e-3)
