"""ALIF against a high-accuracy solution of its ODE with events."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neuropil.cells import ALIF

TAU, TAU_ADAPT, BETA, CURRENT, T = 0.02, 0.1, 0.4, 3.0, 0.25


def ode_spikes():
    """v' = (I - v) / tau, a' = -a / tau_a; at v = 1 + beta a: v -= 1 + beta a, a += 1."""
    crossing = lambda t, y: y[0] - (1 + BETA * y[1])  # noqa: E731
    crossing.terminal, crossing.direction = True, 1
    t, y, found = 0.0, np.zeros(2), []
    while t < T:
        solution = solve_ivp(
            lambda t, y: ((CURRENT - y[0]) / TAU, -y[1] / TAU_ADAPT), (t, T), y, events=crossing, rtol=1e-10, atol=1e-12, method="DOP853"
        )
        t = solution.t[-1]
        if not solution.t_events[0].size:
            break
        found.append(t)
        v, a = solution.y[:, -1]
        y = np.array([v - (1 + BETA * a), a + 1])
    return np.array(found)


def cell_spikes(dt):
    cell = ALIF(1, tau=TAU, tau_adapt=TAU_ADAPT, beta=BETA, dt=dt).double()
    y, _ = cell(torch.full((round(T / dt), 1), CURRENT * (1 - math.exp(-dt / TAU)), dtype=torch.float64))
    return dt * (torch.nonzero(y[:, 0]).flatten().numpy() + 1)


def test_spike_times_approach_the_ode_in_proportion_to_dt():
    exact = ode_spikes()
    assert len(exact) > 8
    assert exact[-1] - exact[-2] > 1.5 * (exact[1] - exact[0])  # it adapts
    last = {}
    for dt in (4e-4, 5e-5):
        found = cell_spikes(dt)
        assert abs(len(found) - len(exact)) <= 1  # one may fall on the other side of the end
        n = min(len(found), len(exact))
        errors = found[:n] - exact[:n]
        assert np.abs(np.diff(errors)).max() < dt  # no interval is off by a step or more
        last[dt] = abs(errors[n - 1])
    assert last[5e-5] < last[4e-4] / 4
    assert last[5e-5] < 3e-4


def test_adaptation_counts_spikes_and_decays():
    cell = ALIF(1, tau_adapt=0.1, beta=0.0, dt=1e-3).double()
    x = torch.zeros(60, 1, dtype=torch.float64)
    x[0] = x[10] = 1.0
    y, s = cell(x)
    assert torch.nonzero(y[:, 0]).flatten().tolist() == [0, 10]
    assert float(s.a) == pytest.approx(math.exp(-0.059 / 0.1) + math.exp(-0.049 / 0.1), rel=1e-6)


def test_the_authors_equations_follow_with_another_beta_a_scaled_input_and_their_reset():
    # bellec2018's code: a = d_a a + (1 - d_a) z, A = 1 + beta a, v = d v + (1 - d) x - dt z A, z = spike / dt, with dt in ms.
    # Here the spike is that of the new v, and its reset is by A before the spike has raised it and decays once.
    dt, beta = 0.5, 0.4
    cell = ALIF(1, tau=TAU, tau_adapt=TAU_ADAPT, beta=beta, dt=dt * 1e-3).double()
    d, d_a = float(cell.decay()), float(cell.decay_adapt())
    x = 4 * torch.rand(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, _ = cell(((1 - d) * x).unsqueeze(-1))

    def spikes(theirs):
        v = a = z = 0.0
        A, theirs_beta, out = 1.0, beta * dt / (1 - d_a), []
        for moment in x.tolist():
            a, before = d_a * a + (1 - d_a) * z, A
            A = 1 + theirs_beta * a
            v = d * v + (1 - d) * moment - dt * z * (A if theirs else d * before)
            z = float(v > A) / dt
            out.append(z * dt)
        return out

    assert sum(spikes(False)) > 10
    assert found.flatten().tolist() == spikes(False)
    assert found.flatten().tolist() != spikes(True)


def test_the_threshold_rises_by_beta_per_spike():
    cell = ALIF(1, beta=0.5, dt=1e-3, tau_adapt=1e6).double()
    s = cell.State(v=torch.zeros(1, dtype=torch.float64), a=torch.full((1,), 2.0, dtype=torch.float64))
    assert cell.step(torch.tensor([1.999], dtype=torch.float64), s)[0] == 0
    assert cell.step(torch.tensor([2.0], dtype=torch.float64), s)[0] == 1
