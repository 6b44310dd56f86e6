"""Resonate-and-fire against the complex exponential and the published preference for its own rhythm."""

import cmath
import math

import pytest
import torch

from neuropil.cells import ResonateAndFire

HERTZ, TAU, DT = 40.0, 0.05, 1e-4


def test_an_impulse_rings_as_the_complex_exponential():
    cell = ResonateAndFire(1, hertz=HERTZ, tau=TAU, dt=DT).double()
    x = torch.zeros(400, 1, dtype=torch.float64)
    x[0] = 0.5
    s = None
    for t in range(400):
        y, s = cell.step(x[t], s)
        z = 0.5 * cmath.exp((-1 / TAU + 2j * math.pi * HERTZ) * DT * t)
        assert y.item() == 0
        assert s.u.item() == pytest.approx(z.real, abs=1e-6)
        assert s.v.item() == pytest.approx(z.imag, abs=1e-6)


def spikes_of_two_pulses(apart, size=0.75):
    cell, x = ResonateAndFire(1, hertz=HERTZ, tau=TAU, dt=DT), torch.zeros(1500, 1)
    x[100], x[100 + round(apart / DT)] = size, size
    return int(cell(x)[0].sum())


def test_it_fires_for_two_pulses_a_period_apart_and_for_no_other_spacing():
    period = 1 / HERTZ
    assert spikes_of_two_pulses(period) == 1
    assert [spikes_of_two_pulses(share * period) for share in (0.25, 0.5, 0.75, 1.5)] == [0, 0, 0, 0]
    assert spikes_of_two_pulses(2 * period, size=0.85) == 1


def test_a_spike_puts_it_at_the_threshold_with_no_current():
    cell = ResonateAndFire(1, hertz=HERTZ, tau=TAU, dt=DT)
    s = cell.State(torch.tensor([2.0]), torch.tensor([0.99]))
    y, s = cell.step(torch.zeros(1), s)
    assert (y.item(), s.u.item(), s.v.item()) == (1, 0, 1)


def test_each_neuron_has_a_rhythm_of_its_own():
    cell, x = ResonateAndFire(2, hertz=[20.0, 40.0], tau=TAU, dt=DT), torch.zeros(1500, 2)
    x[100] = x[100 + 250] = 0.75  # 25 ms, the period of 40 hertz
    assert cell(x)[0].sum(0).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hertz": 0.0, "dt": 1e-4}, "hertz is above 0"),
        ({"hertz": 60.0, "dt": 0.01}, r"half a period, 0\.00833333 s at 60 hertz"),
        ({}, "dt is missing"),
    ],
)
def test_bad_settings(settings, said):
    with pytest.raises(ValueError, match=said):
        ResonateAndFire(3, **settings)
