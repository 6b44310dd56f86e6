"""AstrocyteLIF against a high-accuracy solution of its ODE with events, and its calcium against the firing rate it stands for."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neuropil.cells import LIF, AstrocyteLIF

TAU, CALCIUM, STRENGTH, LEVEL, WIDTH, CURRENT, T = 0.02, 0.1, 0.6, 3.0, 1.2, 2.2, 0.3


def ode_spikes():
    """v' = (gain I - v) / tau, c' = -c / tau_c; at v = 1: v -= 1, c += 1."""

    def slope(_, y):
        gain = 1 + STRENGTH * (2 / (1 + math.exp(-(y[1] - LEVEL) / WIDTH)) - 1)
        return (gain * CURRENT - y[0]) / TAU, -y[1] / CALCIUM

    crossing = lambda t, y: y[0] - 1  # noqa: E731
    crossing.terminal, crossing.direction = True, 1
    t, y, found = 0.0, np.zeros(2), []
    while t < T:
        solution = solve_ivp(slope, (t, T), y, events=crossing, rtol=1e-10, atol=1e-12, method="DOP853")
        t = solution.t[-1]
        if not solution.t_events[0].size:
            break
        found.append(t)
        y = np.array([solution.y[0, -1] - 1, solution.y[1, -1] + 1])
    return np.array(found)


def cell_spikes(dt):
    cell = AstrocyteLIF(1, tau=TAU, tau_calcium=CALCIUM, strength=STRENGTH, level=LEVEL, width=WIDTH, dt=dt).double()
    y, _ = cell(torch.full((round(T / dt), 1), CURRENT * (1 - math.exp(-dt / TAU)), dtype=torch.float64))
    return dt * (torch.nonzero(y[:, 0]).flatten().numpy() + 1)


def test_spike_times_approach_the_ode_in_proportion_to_dt():
    exact = ode_spikes()
    assert len(exact) > 8
    assert exact[1] - exact[0] > 1.5 * (exact[-1] - exact[-2])  # it speeds up
    last = {}
    for dt in (4e-4, 5e-5):
        found = cell_spikes(dt)
        n = min(len(found), len(exact))
        assert abs(len(found) - len(exact)) <= 1
        last[dt] = np.abs(found[:n] - exact[:n]).max()
    assert last[5e-5] < last[4e-4] / 4
    assert last[5e-5] < 1e-3


def test_calcium_counts_spikes_and_comes_to_rest_at_the_rate_times_its_time():
    cell = AstrocyteLIF(1, tau_calcium=0.3, strength=0.0, dt=1e-3).double()
    x = torch.zeros(4000, 1, dtype=torch.float64)
    x[::20] = 1.0
    y, s = cell(x)
    assert y.sum() == 200
    d, period = math.exp(-1 / 300), 20
    assert s.c.item() == pytest.approx(d**19 / (1 - d**period), rel=1e-5)
    assert s.c.item() == pytest.approx(50 * 0.3, rel=0.05)


@pytest.mark.parametrize(("calcium", "gain"), [(0.0, 1 + 0.8 * math.tanh(-1)), (4.0, 1.0), (8.0, 1 + 0.8 * math.tanh(1)), (1e3, 1.8)])
def test_gain_follows_calcium(calcium, gain):
    cell = AstrocyteLIF(1, strength=0.8, level=4.0, width=2.0, dt=1e-3).double()
    s = cell.initial(1)._replace(c=torch.full((1, 1), calcium, dtype=torch.float64))
    _, s = cell.step(torch.full((1, 1), 0.3, dtype=torch.float64), s)
    assert s.v.item() == pytest.approx(0.3 * gain, rel=1e-6)


def test_without_strength_it_is_the_lif_and_with_it_not():
    x = torch.rand(200, 3, 4, generator=torch.Generator().manual_seed(0))
    plain = LIF(4, dt=1e-3)(x)[0]
    assert (AstrocyteLIF(4, strength=0.0, dt=1e-3)(x)[0] == plain).all()
    assert (AstrocyteLIF(4, dt=1e-3)(x)[0] != plain).any()


def test_what_is_learned():
    assert not list(AstrocyteLIF(3, dt=1e-3).parameters())
    cell = AstrocyteLIF(3, learnable=True, dt=1e-3)
    assert {name: tuple(p.shape) for name, p in cell.named_parameters()} == {"strength": (3,), "level": (3,)}
    y, _ = cell(torch.rand(50, 2, 3))
    y.sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in cell.parameters())


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"width": 0.0}, "width is above 0"), ({"tau_calcium": -1.0}, "tau_calcium is above 0"), ({"dt": None}, "dt is missing")],
)
def test_bad_settings(settings, says):
    with pytest.raises(ValueError, match=says):
        AstrocyteLIF(3, **{"dt": 1e-3, **settings})
