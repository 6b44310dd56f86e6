"""LIF against closed forms: membrane between spikes, interval between spikes, charge balance of the soft reset."""

import math

import pytest
import torch

from neuropil.cells import LIF
from neuropil.dynamics import Reset

TAU, DT = 0.02, 1e-4
DECAY = math.exp(-DT / TAU)


def spike_steps(y):
    return torch.nonzero(y[:, 0]).flatten()


@pytest.mark.parametrize("current", [1.05, 1.5, 3.0])
def test_spike_times_under_constant_current_are_the_closed_forms_up_to_one_step(current):
    x = torch.full((4000, 1), current * (1 - DECAY), dtype=torch.float64)
    y, _ = LIF(1, tau=TAU, dt=DT, reset="hard")(x)
    interval = TAU * math.log(current / (current - 1))
    found = spike_steps(y)
    assert len(found) > 4
    steps = math.ceil(interval / DT)  # the spike is seen at the end of the step in which the threshold is crossed
    assert found.tolist() == [steps * (k + 1) - 1 for k in range(len(found))]


def test_the_membrane_between_spikes_is_the_closed_form():
    current, T = 0.95, 300
    cell = LIF(1, tau=TAU, dt=1e-3)
    s, vs = None, []
    for _ in range(T):
        y, s = cell.step(torch.full((1,), current * (1 - math.exp(-1e-3 / TAU)), dtype=torch.float64), s)
        assert y == 0
        vs.append(s.v)
    t = 1e-3 * torch.arange(1, T + 1, dtype=torch.float64)
    torch.testing.assert_close(torch.cat(vs), current * (1 - torch.exp(-t / TAU)), rtol=1e-6, atol=1e-9)


def test_below_rheobase_it_is_silent_and_exactly_at_threshold_it_fires():
    assert LIF(1, tau=TAU, dt=DT)(torch.full((5000, 1), 0.999 * (1 - DECAY), dtype=torch.float64))[0].sum() == 0
    assert LIF(1, tau=TAU, dt=DT)(torch.ones(1, 1))[0].item() == 1


def test_a_soft_reset_loses_no_charge():
    x = torch.rand(400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    y, s = LIF(1, tau=TAU, dt=1e-3)(x)
    weights = math.exp(-1e-3 / TAU) ** torch.arange(399, -1, -1, dtype=torch.float64)
    torch.testing.assert_close(s.v, (weights[:, None] * (x - y)).sum(0), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(("reset", "expected"), [("soft", 0.5), ("hard", 0.0), ("none", 1.5), (Reset("hard", value=-0.25), -0.25)])
def test_resets_by_hand(reset, expected):
    _, s = LIF(1, tau=TAU, dt=DT, reset=reset).step(torch.tensor([1.5]))
    assert float(s.v) == pytest.approx(expected)


def test_backward_through_two_steps_by_hand():
    # FastSigmoid(10): dS/du = 1 / (1 + 10 |u|)^2; soft reset: v1' = v1 - S(v1 - 1); v2 = d v1' + x2; y = S(v2 - 1).
    cell = LIF(1, tau=TAU, dt=1e-3).double()
    d = float(cell.decay())
    x = torch.tensor([[0.8], [0.3]], dtype=torch.float64, requires_grad=True)
    y, _ = cell(x)
    y[1].sum().backward()
    slope = lambda v: 1 / (1 + 10 * abs(v - 1)) ** 2  # noqa: E731
    v1, v2 = 0.8, d * 0.8 + 0.3
    assert float(x.grad[1]) == pytest.approx(slope(v2), rel=1e-9)
    assert float(x.grad[0]) == pytest.approx(slope(v2) * d * (1 - slope(v1)), rel=1e-9)


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
def test_a_threshold_is_positive(threshold):
    with pytest.raises(ValueError, match="threshold is"):
        LIF(1, dt=DT, threshold=threshold)
