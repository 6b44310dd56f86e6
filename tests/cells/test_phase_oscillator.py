"""Phase oscillators: alone against a straight line and an ODE solver; as a Kuramoto network in test_kuramoto_coupling."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neuropil.cells import PhaseOscillator


def test_it_turns_round_hertz_times_a_second_and_a_held_input_adds_its_speed():
    cell = PhaseOscillator(3, hertz=[1.0, 0.0, -4.0], dt=1e-3).double()
    x = torch.tensor([0.0, 2.5, 1.0], dtype=torch.float64).expand(2000, 3)
    y, s = cell(x)
    assert s.theta.tolist() == pytest.approx([4 * math.pi, 5.0, 2 - 16 * math.pi], abs=1e-9)
    assert torch.equal(y[-1], s.theta)


def test_an_input_that_changes_is_followed_as_by_an_ode_solver():
    dt, moments = 1e-3, 1000
    t = dt * (torch.arange(moments, dtype=torch.float64) + 0.5)  # at the middle of each step Euler is of second order in a given input
    y, _ = PhaseOscillator(1, hertz=2.0, dt=dt).double()(torch.sin(9 * t)[:, None] * 5)
    solved = solve_ivp(lambda t, _: [4 * np.pi + 5 * np.sin(9 * t)], (0, 1), [0.0], rtol=1e-10, atol=1e-10, t_eval=[0.25, 0.5, 1.0])
    assert y[[249, 499, 999], 0].tolist() == pytest.approx(solved.y[0].tolist(), abs=1e-5)


def test_its_frequency_can_be_learned():
    cell = PhaseOscillator(2, hertz=3.0, dt=1e-2, learnable=True)
    cell(torch.zeros(50, 2))[0][-1].sum().backward()
    assert cell.hertz.grad.item() == pytest.approx(2 * 2 * math.pi * 0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hertz": math.inf, "dt": 1e-3}, "hertz is finite"),
        ({"hertz": -60.0, "dt": 0.01}, r"half a period, 0\.00833333 s at 60 hertz"),
        ({}, "dt is missing"),
    ],
)
def test_bad_settings(settings, said):
    with pytest.raises(ValueError, match=said):
        PhaseOscillator(3, **settings)
