"""Sphere oscillators against an ODE solver, the Kuramoto model in two dimensions, closed forms, and an energy that falls."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neuropil.cells import PhaseOscillator, SphereOscillator
from neuropil.cells.sphere_oscillator import on_spheres, turned
from neuropil.synapses import Dense, KuramotoCoupling, Recurrent


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(coupling, dims, gamma, start, **settings):
    """All oscillators hear all others; the state that begins at ``start``."""
    size = len(start)
    synapse = Dense(size, size).double()
    with torch.no_grad():
        synapse.weight.copy_(coupling)
    net = Recurrent(SphereOscillator(size, dims=dims, gamma=gamma, **settings).double(), synapse)
    return net, net.State(net.cell.State(start), start)


@pytest.mark.parametrize("dims", [2, 4])
def test_a_network_with_small_steps_is_an_ode_solvers(dims):
    size, gamma, duration = 4 * dims, 2e-4, 2.0
    coupling, force, start = 0.4 * drawn(size, size), drawn(size, seed=1), on_spheres(drawn(size, seed=2), dims)
    omega = drawn(size // 2, seed=3)
    net, s = network(coupling, dims, gamma, start, omega=omega)
    with torch.no_grad():
        path, _ = net(force.expand(round(duration / gamma), size), s)

    turn = np.zeros((size, size))
    for pair, rate in enumerate(omega.tolist()):
        turn[2 * pair, 2 * pair + 1], turn[2 * pair + 1, 2 * pair] = rate, -rate

    def speed(_, x):
        pull = (force.numpy() + coupling.numpy() @ x).reshape(-1, dims)
        at = x.reshape(-1, dims)
        return turn @ x + (pull - (pull * at).sum(1, keepdims=True) * at).ravel()

    solved = solve_ivp(speed, (0, duration), start.numpy(), rtol=1e-10, atol=1e-10, t_eval=[duration / 2, duration])
    half = len(path) // 2
    np.testing.assert_allclose(path[[half - 1, -1]].numpy(), solved.y.T, atol=2e-3)
    torch.testing.assert_close(path.unflatten(-1, (-1, dims)).norm(dim=-1), torch.ones(len(path), 4, dtype=torch.float64))


def test_in_two_dimensions_it_is_the_kuramoto_model():
    n, gamma, moments, strength = 6, 1e-3, 2000, 1.5
    hertz, theta = 0.5 * drawn(n), 2 * math.pi * torch.rand(n, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    coupling = torch.kron(torch.full((n, n), strength / n, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    start = torch.stack((theta.cos(), theta.sin()), 1).flatten()
    net, s = network(coupling, 2, gamma, start, omega=-2 * math.pi * hertz)
    with torch.no_grad():
        found = net(torch.zeros(moments, 2 * n, dtype=torch.float64), s)[0][-1].unflatten(-1, (-1, 2))
    phases = Recurrent(PhaseOscillator(n, hertz=hertz, dt=gamma), KuramotoCoupling(n, strength)).double()
    expected, _ = phases(torch.zeros(moments, n, dtype=torch.float64), phases.State(phases.cell.State(theta), theta))
    np.testing.assert_allclose(found[:, 0], expected[-1].cos(), atol=5e-3)
    np.testing.assert_allclose(found[:, 1], expected[-1].sin(), atol=5e-3)


def test_energy_falls_to_a_state_without_torque_where_couplings_are_symmetric_and_rises_somewhere_where_not():
    size, dims = 24, 3
    raw, force, start = drawn(size, size, seed=5), drawn(size, seed=6), on_spheres(drawn(size, seed=7), dims)

    def energies(coupling, **settings):
        net, s = network(coupling, dims, 0.02, start, **settings)
        with torch.no_grad():
            x = torch.cat((start[None], net(force.expand(4000, size), s)[0]))
        return -(x * force).sum(1) - 0.5 * (x * (x @ coupling.mT)).sum(1), x[-1]

    symmetric = (raw + raw.mT) / 2
    falling, last = energies(symmetric)
    assert (falling.diff() <= 1e-12).all()
    assert falling[0] - falling[-1] > 10
    pull = force + symmetric @ last
    at, torque = last.unflatten(-1, (-1, dims)), pull.unflatten(-1, (-1, dims))
    torque = torque - (torque * at).sum(1, keepdim=True) * at
    assert torque.abs().max() < 1e-6
    assert (energies(raw)[0].diff() > 1e-6).any()


def test_one_oscillator_turns_to_a_constant_force_by_the_closed_form():
    # d angle / dt = -|u| sin(angle) to the force: tan(angle / 2) decays as exp(-|u| t), in any number of dimensions.
    strength, gamma, moments = 1.7, 1e-3, 1500
    cell = SphereOscillator(4, dims=4, gamma=gamma).double()
    force = strength * on_spheres(torch.tensor([-0.9, 0.2, 0.3, 0.1], dtype=torch.float64), 4)
    path, _ = cell(force.expand(moments, 4))
    begun = math.acos(force[0].item() / strength)
    expected = 2 * math.atan(math.tan(begun / 2) * math.exp(-strength * gamma * moments))
    assert math.acos((path[-1] @ force).item() / strength) == pytest.approx(expected, abs=2e-3)


def test_natural_frequencies_turn_pairs_by_the_arctangent_and_the_lengths_stay():
    cell = SphereOscillator(4, dims=4, gamma=0.5, omega=[0.4, -0.4]).double()
    start = on_spheres(drawn(4, seed=8), 4)
    y, _ = cell.step(torch.zeros(4, dtype=torch.float64), cell.State(start))
    angle = math.atan(0.5 * 0.4)
    one = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    torch.testing.assert_close(y[:2], one @ start[:2])
    torch.testing.assert_close(y[2:], one.mT @ start[2:])


def test_without_projection_it_is_a_normalised_sum_and_with_it_the_radial_force_does_nothing():
    x, force = on_spheres(drawn(5, 8), 4), drawn(5, 8, seed=9)
    plain = turned(x, force, dims=4, gamma=0.7, projection=0.0)
    torch.testing.assert_close(plain, on_spheres(x + 0.7 * force, 4))
    torch.testing.assert_close(turned(x, force + 3 * x, dims=4, gamma=0.7), turned(x, force, dims=4, gamma=0.7))
    assert (plain - turned(x, force, dims=4, gamma=0.7)).abs().max() > 0.05


def test_any_axis_is_the_last_axis():
    x, force, omega = drawn(3, 8, 5), drawn(3, 8, 5, seed=1), drawn(4, seed=2)
    x = on_spheres(x, 4, axis=1 - 3)
    along = turned(x, force, dims=4, gamma=0.5, omega=omega, axis=-2)
    torch.testing.assert_close(along.mT, turned(x.mT, force.mT, dims=4, gamma=0.5, omega=omega))


def test_frequencies_can_be_learned():
    cell = SphereOscillator(4, dims=2, omega=0.2, learnable=True)
    cell(torch.ones(3, 4))[0].sum().backward()
    assert cell.omega.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dims": 3}, "divides the 8 features, 3"),
        ({"dims": 1}, "from 2"),
        ({"gamma": -1.0}, "gamma is a finite number"),
        ({"projection": 1.5}, "from 0"),
    ],
)
def test_bad_settings(settings, said):
    with pytest.raises(ValueError, match=said):
        SphereOscillator(8, **settings)
    with pytest.raises(ValueError, match="give even dims"):
        SphereOscillator(9, dims=3, omega=0.1)
