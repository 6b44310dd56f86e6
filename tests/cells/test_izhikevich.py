"""Izhikevich: the published scheme stepped by hand, a high-accuracy ODE with events, and the published kinds of firing."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neuropil.cells import Izhikevich

KINDS = {
    "regular spiking": (0.02, 0.2, -65.0, 8.0),
    "intrinsically bursting": (0.02, 0.2, -55.0, 4.0),
    "chattering": (0.02, 0.2, -50.0, 2.0),
    "fast spiking": (0.1, 0.2, -65.0, 2.0),
}


def ode_spikes(kind, current, T):
    """Spike times in ms."""
    a, b, c, d = KINDS[kind]
    peak = lambda t, y: y[0] - 30  # noqa: E731
    peak.terminal, peak.direction = True, 1
    t, y, found = 0.0, np.array([-65.0, -65.0 * b]), []
    while t < T:
        solution = solve_ivp(
            lambda t, y: (0.04 * y[0] ** 2 + 5 * y[0] + 140 - y[1] + current, a * (b * y[0] - y[1])),
            (t, T),
            y,
            events=peak,
            rtol=1e-9,
            atol=1e-9,
        )
        t = solution.t[-1]
        if not solution.t_events[0].size:
            break
        found.append(t)
        y = np.array([c, solution.y[1, -1] + d])
    return np.array(found)


def cell_spikes(kind, current, T, dt, substeps):
    """Spike times in ms."""
    a, b, c, d = torch.tensor(KINDS[kind], dtype=torch.float64)
    cell = Izhikevich(1, a=a, b=b, c=c, d=d, dt=dt, substeps=substeps)
    y, _ = cell(torch.full((round(T * 1e-3 / dt), 1), current, dtype=torch.float64))
    return 1e3 * dt * (torch.nonzero(y[:, 0]).flatten().numpy() + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_fine_steps_approach_the_ode(kind):
    exact = ode_spikes(kind, 10.0, 60)
    assert len(exact) >= 2
    errors = []
    for dt in (2e-5, 1e-5):
        found = cell_spikes(kind, 10.0, 60, dt, substeps=1)
        assert len(found) == len(exact)
        errors.append(np.abs(found - exact).max())
    assert errors[1] < 0.6  # ms of 60, and it halves with the step
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.25)


def published(kind, current, T):
    """The published loop in plain numbers: test and reset first, then two half-steps of v, then u."""
    a, b, c, d = KINDS[kind]
    v, u, fired = -65.0, -65.0 * b, []
    for t in range(T + 1):
        if v >= 30:
            fired.append(t)
            v, u = c, u + d
        v += 0.5 * (0.04 * v**2 + 5 * v + 140 - u + current)
        v += 0.5 * (0.04 * v**2 + 5 * v + 140 - u + current)
        u += a * (b * v - u)
    return fired


@pytest.mark.parametrize("kind", KINDS)
def test_one_millisecond_is_the_published_scheme(kind):
    # At this step the scheme is chaotic (v overshoots 30 by far, and u with it): roundings in the last digit show after some 200 ms.
    assert cell_spikes(kind, 10.0, 100, 1e-3, 2).tolist() == pytest.approx(published(kind, 10.0, 100))


def intervals(kind):
    return np.diff(cell_spikes(kind, 10.0, 600, 1e-4, 2))


def test_regular_spiking_adapts_and_then_is_even():
    found = intervals("regular spiking")
    assert found[0] < 0.7 * found[1]
    assert np.ptp(found[1:]) < 1
    assert len(found) + 1 == 14  # spikes in 600 ms


def test_fast_spiking_is_fast_and_hardly_adapts():
    found = intervals("fast spiking")
    assert len(found) > 2.5 * len(intervals("regular spiking"))
    assert np.ptp(found[2:]) < 1


def test_intrinsically_bursting_begins_with_a_burst_and_goes_on_in_single_spikes():
    found = intervals("intrinsically bursting")
    assert found[0] < 8
    assert found[0] < 0.5 * np.median(found[6:])
    assert (found[6:] > 10).all()


def test_chattering_repeats_bursts_with_silence_between():
    found = intervals("chattering")
    within, between = found[found < 10], found[found > 20]
    assert len(between) > 5
    assert len(within) >= 2 * len(between)


def test_it_rests_without_input():
    assert len(cell_spikes("regular spiking", 0.0, 300, 1e-3, 2)) == 0


@pytest.mark.parametrize(
    ("settings", "says"), [({}, "at most 1e-3"), ({"dt": 2e-3}, "at most 1e-3"), ({"dt": 1e-3, "substeps": 0}, "1 or more")]
)
def test_bad_settings(settings, says):
    with pytest.raises(ValueError, match=says):
        Izhikevich(1, **settings)
