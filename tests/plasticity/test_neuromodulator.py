"""Neuromodulator: an ODE solver's concentration and baseline, and a steady release that comes to modulate nothing."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neuropil.plasticity import Neuromodulator

TAU, SLOW, DT = 0.2, 1.5, 1e-3


def test_concentration_after_scattered_releases_is_the_sum_of_exponentials():
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.exponential(size=(400, 3)) * (random.random((400, 3)) < 0.05))
    y, _ = Neuromodulator(3, tau=TAU, dt=DT).double()(x)
    t = np.arange(400) * DT
    kernel = np.tril(np.exp(-np.subtract.outer(t, t).clip(min=0) / TAU))
    np.testing.assert_allclose(y.numpy(), kernel @ x.numpy(), rtol=1e-6)


def test_concentration_and_baseline_follow_their_differential_equations():
    """One release at the start, then ``tau c' = -c`` and ``tau_baseline b' = c - b``."""
    cell = Neuromodulator(1, tau=TAU, tau_baseline=SLOW, dt=1e-4).double()
    x = torch.zeros(10_000, 1, dtype=torch.float64)
    x[0] = 1
    y, s = cell(x)
    found = solve_ivp(lambda _, v: [-v[0] / TAU, (v[0] - v[1]) / SLOW], (0, 0.9999), [1.0, 0.0], rtol=1e-9, atol=1e-12)
    assert s.c.item() == pytest.approx(found.y[0, -1], rel=1e-5)
    assert s.b.item() == pytest.approx(found.y[1, -1], rel=1e-3)
    assert y[-1].item() == pytest.approx(found.y[0, -1] - found.y[1, -1], rel=1e-3)


def test_a_steady_release_comes_to_modulate_nothing_and_its_end_is_felt_as_a_loss():
    cell = Neuromodulator(1, tau=0.01, tau_baseline=0.1, dt=DT).double()
    x = torch.ones(3000, 1, dtype=torch.float64)
    x[2000:] = 0
    y, _ = cell(x)
    assert y[:20].min() > 0
    assert y[1999].abs() < 1e-6
    assert y[2000:2100].max() < 0
    tonic, _ = Neuromodulator(1, tau=0.01, dt=DT).double()(x)
    assert tonic[1999].item() == pytest.approx(1 / (1 - np.exp(-DT / 0.01)), rel=1e-5)


def test_times_are_checked():
    with pytest.raises(ValueError, match="tau_baseline is above 0"):
        Neuromodulator(1, tau_baseline=0.0, dt=DT)
