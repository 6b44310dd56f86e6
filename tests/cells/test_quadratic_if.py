"""Quadratic integrate-and-fire against the closed form of its period and its fixed point."""

import math

import numpy as np
import pytest
import torch

from neuropil.cells import QuadraticIF

TAU, PEAK = 0.01, 10.0


def mean_interval(x, dt):
    y, _ = QuadraticIF(1, dt=dt)(torch.full((round(0.4 / dt), 1), x, dtype=torch.float64))
    return np.diff(torch.nonzero(y[:, 0]).flatten().numpy()).mean() * dt


@pytest.mark.parametrize("x", [0.5, 2.0, 30.0])
def test_the_period_is_the_closed_form_up_to_one_step(x):
    exact = 2 * TAU / math.sqrt(x) * math.atan(PEAK / math.sqrt(x))
    for dt in (4e-5, 1e-5):
        assert abs(mean_interval(x, dt) - exact) < dt


def test_the_rate_falls_to_zero_with_the_root_of_the_input():
    slow, slower = (mean_interval(x, 1e-4) for x in (0.16, 0.04))
    assert slower / slow == pytest.approx(2, rel=0.03)


def test_inhibited_it_rests_at_the_stable_root():
    y, s = QuadraticIF(1, dt=1e-4)(torch.full((5000, 1), -4.0, dtype=torch.float64))
    assert y.sum() == 0
    assert s.v.item() == pytest.approx(-2, abs=1e-9)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"peak": -1.0, "dt": 1e-4}, "peak is above 0"), ({"dt": 0.1}, r"at most tau = 0\.01 s, 0\.1 s"), ({}, "dt is missing")],
)
def test_bad_settings(settings, said):
    with pytest.raises(ValueError, match=said):
        QuadraticIF(3, **settings)
