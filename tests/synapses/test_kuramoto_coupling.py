"""Kuramoto networks against Adler's closed forms for two, Ott and Antonsen's curve for many, and an ODE solver."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neuropil.cells import PhaseOscillator
from neuropil.synapses import KuramotoCoupling, Recurrent, order_parameter

TURN = 2 * math.pi


def network(hertz, coupling, dt):
    return Recurrent(PhaseOscillator(len(hertz), hertz=hertz, dt=dt), KuramotoCoupling(len(hertz), coupling)).double()


def difference(apart, coupling, moments, dt):
    """Phase differences over time of two oscillators ``apart`` radians a second, ``d phi / dt = apart - K sin(phi)``."""
    hertz = torch.tensor([3.0, 3.0 + apart / TURN], dtype=torch.float64)
    theta, _ = network(hertz, coupling, dt)(torch.zeros(moments, 2, dtype=torch.float64))
    return theta[:, 1] - theta[:, 0]


@pytest.mark.parametrize("apart", [0.5, 1.5, -1.9])
def test_two_oscillators_lock_at_the_arcsine_of_their_difference_over_the_coupling(apart):
    phi = difference(apart, 2.0, 2000, dt=1e-2)
    assert phi[-1].item() == pytest.approx(math.asin(apart / 2.0), abs=1e-5)


@pytest.mark.parametrize("apart", [2.5, 6.0])
def test_two_oscillators_too_far_apart_drift_with_the_closed_form_period(apart):
    dt = 5e-3
    phi = difference(apart, 2.0, 4400, dt)
    crossed = torch.searchsorted(phi.contiguous(), TURN * torch.arange(1, 6, dtype=torch.float64))
    period = float(crossed[-1] - crossed[0]) * dt / 4
    assert period == pytest.approx(TURN / math.sqrt(apart**2 - 2.0**2), rel=2e-3)


@pytest.mark.parametrize("strength", [0.8, 2.0, 4.0])
def test_a_thousand_oscillators_follow_the_curve_of_infinitely_many(strength):
    # Lorentzian frequencies of half width gamma, all phases equal at first: r' = (K / 2 - gamma) r - (K / 2) r^3 (ott2008),
    # which ends at 0 below the critical K = 2 gamma and at sqrt(1 - 2 gamma / K) above it.
    gamma, n, dt, moments = 1.0, 1000, 4e-3, 2000
    share = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    hertz = gamma / TURN * torch.tan(math.pi * (share - 0.5))
    coupling = 2 * gamma * strength
    theta, _ = network(hertz, coupling, dt)(torch.zeros(moments, n, dtype=torch.float64))
    r, t = order_parameter(theta), dt * torch.arange(1, moments + 1, dtype=torch.float64)
    a, b = coupling / 2 - gamma, coupling / 2
    curve = (a / (b + (a - b) * torch.exp(-2 * a * t))).sqrt()
    assert (r - curve).abs().max() < 30 / n  # half as large with 2000 oscillators
    if strength > 1:
        assert r[-500:].mean().item() == pytest.approx(math.sqrt(1 - 1 / strength), abs=0.003)


def test_a_network_of_given_strengths_and_a_given_start_is_an_ode_solvers():
    generator = torch.Generator().manual_seed(0)
    n, dt, seconds = 5, 2e-4, 1.0
    hertz, strengths = (torch.randn(*shape, generator=generator, dtype=torch.float64) * 2 for shape in ((n,), (n, n)))
    start = torch.rand(n, generator=generator, dtype=torch.float64) * TURN
    model = network(hertz, strengths, dt)
    s = model.State(model.cell.State(start), start)
    _, last = model(torch.zeros(round(seconds / dt), n, dtype=torch.float64), s)

    def speed(_, theta):
        return TURN * hertz.numpy() + (strengths.numpy() * np.sin(theta[None, :] - theta[:, None])).sum(1)

    solved = solve_ivp(speed, (0, seconds), start.numpy(), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(last.cell.theta.numpy(), solved.y[:, -1], atol=5e-3)
    assert torch.equal(last.output, last.cell.theta)


def test_equal_frequencies_descend_in_energy_to_equal_phases():
    # With K symmetric and one frequency, seen from a frame that turns with it, d theta / dt = -grad E, E = -sum_ij K_ij cos(theta_j - theta_i) / 2.
    generator = torch.Generator().manual_seed(2)
    n, hertz, dt = 7, 1.5, 1e-2
    strengths = torch.rand(n, n, generator=generator, dtype=torch.float64)
    strengths = strengths + strengths.T
    start = 2.5 * torch.rand(n, generator=generator, dtype=torch.float64)  # within half a circle all pairs attract to one point
    model = network(torch.full((n,), hertz), strengths, dt)
    theta, _ = model(torch.zeros(1500, n, dtype=torch.float64), model.State(model.cell.State(start), start))

    def energy(theta):
        return -(strengths * torch.cos(theta.unsqueeze(-2) - theta.unsqueeze(-1))).sum((-2, -1)) / 2

    seen = start.clone().requires_grad_()
    (slope,) = torch.autograd.grad(energy(seen), seen)
    torch.testing.assert_close(theta[0] - start, dt * (TURN * hertz - slope))
    assert (energy(theta).diff() <= 1e-12).all()
    assert energy(theta[-1]).item() == pytest.approx(-strengths.sum().item() / 2, rel=1e-9)
    assert order_parameter(theta[-1]).item() == pytest.approx(1.0, abs=1e-9)


def test_the_mean_is_all_pairs_of_equal_strength_and_only_differences_count():
    theta = torch.rand(3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * TURN
    by_mean = KuramotoCoupling(6, 1.8).double()(theta)
    by_pair = KuramotoCoupling(6, torch.full((6, 6), 1.8 / 6)).double()
    torch.testing.assert_close(by_pair(theta), by_mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(by_pair(theta + 11.0), by_pair(theta))
    torch.testing.assert_close(by_mean.sum(-1), torch.zeros(3, dtype=torch.float64))  # what one gives another takes


def test_strengths_can_be_learned():
    synapse = KuramotoCoupling(4, torch.eye(4) + 0.5, learnable=True)
    synapse(torch.tensor([0.1, 0.9, 2.0, 4.0])).square().sum().backward()
    others = ~torch.eye(4, dtype=torch.bool)
    assert (synapse.coupling.grad[others] != 0).all()


def test_the_order_parameter_of_known_phases():
    theta = torch.tensor([[0.4, 0.4, 0.4 - TURN], [0.0, TURN / 3, -TURN / 3], [0.0, TURN / 4, TURN / 4]], dtype=torch.float64)
    assert order_parameter(theta).tolist() == pytest.approx([1.0, 0.0, math.sqrt(5) / 3], abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "make", "said"),
    [
        (ValueError, lambda: KuramotoCoupling(3, torch.ones(3)), r"shape \[3\] was given"),
        (ValueError, lambda: KuramotoCoupling(3, math.nan), "coupling is finite"),
        (TypeError, lambda: order_parameter([0.1]), "a list was given"),
        (TypeError, lambda: order_parameter(torch.arange(3)), "int64 was given"),
        (ValueError, lambda: order_parameter(torch.tensor(0.3)), "one number was given"),
    ],
)
def test_bad_settings(kind, make, said):
    with pytest.raises(kind, match=said):
        make()
