"""Exponential integrate-and-fire against a high-accuracy ODE and the closed form of its rheobase."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neuropil.cells import ExponentialIF

TAU, REST, ONSET, SHARP, PEAK, RESET = 0.01, -65.0, -59.9, 3.48, -30.0, -68.0


def interval(x):
    """Seconds from reset to peak under a constant input, by an ODE solver."""
    peak = lambda t, v: v[0] - PEAK  # noqa: E731
    peak.terminal, peak.direction = True, 1
    slope = lambda t, v: (REST - v + SHARP * np.exp((v - ONSET) / SHARP) + x) / TAU  # noqa: E731
    return solve_ivp(slope, (0, 1), [RESET], events=peak, rtol=1e-10, atol=1e-10).t_events[0][0]


def intervals(x, dt, seconds=0.3):
    y, _ = ExponentialIF(1, dt=dt)(torch.full((round(seconds / dt), 1), x, dtype=torch.float64))
    return np.diff(torch.nonzero(y[:, 0]).flatten().numpy()) * dt


@pytest.mark.parametrize("x", [2.5, 5.0, 20.0])
def test_intervals_approach_the_ode_in_proportion_to_the_step(x):
    exact = interval(x)
    errors = [abs(intervals(x, dt).mean() - exact) for dt in (4e-5, 1e-5)]
    assert errors[1] < 0.01 * exact
    assert errors[1] < 0.4 * errors[0]


def test_it_fires_for_ever_above_the_rheobase_and_rests_below():
    rheobase = ONSET - REST - SHARP
    assert len(intervals(rheobase + 0.1, 1e-4, 2.0)) > 3
    y, s = ExponentialIF(1, dt=1e-4)(torch.full((20_000, 1), rheobase - 0.1, dtype=torch.float64))
    assert y.sum() == 0
    v = s.v.item()
    assert REST - v + SHARP * np.exp((v - ONSET) / SHARP) + rheobase - 0.1 == pytest.approx(0, abs=1e-3)  # a fixed point


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sharpness": 0.0, "dt": 1e-4}, "sharpness is above 0"),
        ({"dt": 1e-3}, r"at most tau / 20 = 0\.0005 s, 0\.001 s"),
        ({}, "dt is missing"),
    ],
)
def test_bad_settings(settings, said):
    with pytest.raises(ValueError, match=said):
        ExponentialIF(3, **settings)
