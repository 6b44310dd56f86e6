"""CubaLIF against the closed form of its step, and against the difference of two exponentials that it approaches."""

import math

import pytest
import torch

from neuropil.cells import CubaLIF


def potential(dt, T, tau=0.02, tau_syn=0.005, charge=1.0):
    cell = CubaLIF(1, tau=tau, tau_syn=tau_syn, dt=dt, threshold=1e9).double()
    s, vs = None, []
    for t in range(T):
        _, s = cell.step(torch.full((1,), charge if t == 0 else 0.0, dtype=torch.float64), s)
        vs.append(float(s.v))
    return torch.tensor(vs, dtype=torch.float64)


def test_one_input_gives_the_closed_form_of_two_geometric_decays():
    dt, T, tau, tau_syn = 1e-3, 120, 0.02, 0.005
    m, s = math.exp(-dt / tau), math.exp(-dt / tau_syn)
    n = torch.arange(1, T + 1, dtype=torch.float64)
    torch.testing.assert_close(potential(dt, T), (1 - m) * (s**n - m**n) / (s - m), rtol=1e-5, atol=1e-9)


def test_errors_against_the_ode_shrink_in_proportion_to_dt():
    tau, tau_syn = 0.02, 0.005

    def error(dt):
        t = dt * torch.arange(1, round(0.08 / dt) + 1, dtype=torch.float64)
        exact = tau_syn / (tau_syn - tau) * (torch.exp(-t / tau_syn) - torch.exp(-t / tau))
        return float((potential(dt, len(t)) - exact).abs().max())

    coarse, fine = error(5e-4), error(1.25e-4)
    assert fine < 0.01
    assert coarse / fine == pytest.approx(4, rel=0.15)


def test_spike_times_under_a_constant_current_are_the_closed_forms_up_to_two_steps():
    # x = I (1 - d_s) holds i at I once charged, so after the start v relaxes to I and fires like the LIF, every tau log(I / (I - 1)).
    tau, tau_syn, dt, current = 0.02, 0.002, 1e-4, 1.5
    x = torch.full((6000, 1), current * (1 - math.exp(-dt / tau_syn)), dtype=torch.float64)
    y, _ = CubaLIF(1, tau=tau, tau_syn=tau_syn, dt=dt, reset="hard").double()(x)
    late = torch.nonzero(y[:, 0]).flatten()[3:].diff()
    assert len(late) > 10
    assert late.unique().tolist() == [math.ceil(tau * math.log(current / (current - 1)) / dt)]


def test_the_authors_equations_follow_with_a_scaled_input_a_shift_of_two_moments_and_their_reset():
    # neftci2019: u[t+1] = m u[t] + i[t] - spike[t], i[t+1] = s i[t] + x[t], spike = u >= 1. Here the reset decays once: u[t+1] = m (u[t] - spike[t]) + ...
    cell = CubaLIF(1, dt=1e-3).double()
    m, s = float(cell.decay()), float(cell.decay_syn())
    x = torch.rand(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, _ = cell((x / (1 - m) * 0.12).unsqueeze(-1))

    def spikes(reset):
        u = i = spike = 0.0
        out = [spike]
        for moment in (*(0.12 * x).tolist(), 0.0):
            u, i = m * u + i - reset * spike, s * i + moment
            spike = float(u >= 1)
            out.append(spike)
        assert out[:2] == [0, 0]
        return out[2:]

    assert sum(spikes(m)) > 10
    assert found.flatten().tolist() == spikes(m)
    assert found.flatten().tolist() != spikes(1.0)


def test_the_reset_leaves_the_current():
    _, s = CubaLIF(1, dt=1e-3).double().step(torch.tensor([1000.0], dtype=torch.float64))
    assert float(s.i) == 1000


def test_dt_may_not_exceed_the_synaptic_time_constant():
    with pytest.raises(ValueError, match="at most tau_syn"):
        CubaLIF(1, tau=0.02, tau_syn=1e-3, dt=2e-3)
