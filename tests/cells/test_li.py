"""LI against the closed form of its equation."""

import math

import pytest
import torch

from neuropil.cells import LI


def test_a_pulse_decays_with_tau_and_a_current_charges_to_it():
    tau, dt, T = 0.02, 1e-3, 100
    cell = LI(1, tau=torch.tensor(tau, dtype=torch.float64), dt=dt)
    pulse = torch.zeros(T, 1, dtype=torch.float64)
    pulse[0] = 2.5
    t = dt * torch.arange(T, dtype=torch.float64)
    torch.testing.assert_close(cell(pulse)[0][:, 0], 2.5 * torch.exp(-t / tau), rtol=1e-12, atol=0)
    current = torch.full((T, 1), 0.7 * (1 - math.exp(-dt / tau)), dtype=torch.float64)
    torch.testing.assert_close(cell(current)[0][:, 0], 0.7 * (1 - torch.exp(-(t + dt) / tau)), rtol=1e-12, atol=0)


def test_each_neuron_has_its_own_time_constant():
    taus = torch.tensor([0.005, 0.02, 0.1], dtype=torch.float64)
    y, _ = LI(3, tau=taus, dt=1e-3)(torch.cat((torch.ones(1, 3), torch.zeros(50, 3))).double())
    torch.testing.assert_close(y[-1], torch.exp(-0.05 / taus), rtol=1e-12, atol=0)


def test_the_gradient_of_log_tau_is_that_of_the_closed_form():
    cell = LI(1, tau=0.02, dt=1e-3, learnable=True).double()
    y, _ = cell(torch.cat((torch.ones(1, 1), torch.zeros(30, 1))).double())
    y[-1].sum().backward()
    expected = math.exp(-0.03 / 0.02) * 0.03 / 0.02  # d exp(-t / tau) / d log tau
    assert float(cell.decay.log_tau.grad) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tau": 0.0, "dt": 1e-3}, "above 0"),
        ({"tau": -0.01, "dt": 1e-3}, "above 0"),
        ({"tau": 0.02}, "dt is missing"),
        ({"tau": 0.02, "dt": 0.03}, "at most tau"),
        ({"tau": 0.02, "dt": 0.0}, "above 0"),
        ({"tau": [0.02, 0.03], "dt": 1e-3}, "one number or 1"),
    ],
)
def test_bad_times_are_one_clear_sentence(settings, says):
    with pytest.raises(ValueError, match=says) as error:
        LI(1, **settings)
    assert "\n" not in str(error.value)
