"""Cart-pole against an ODE solver on the Lagrangian's mass matrix, energy, and gymnasium's cart-pole, whose pole is a uniform rod too."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neuropil.agents.cart_pole import CartPoleState, CartPoleSwingUp


def state(*values):
    return CartPoleState(*(torch.tensor(value, dtype=torch.float64) for value in values))


def lagrangian(world, force):
    """Mass matrix times accelerations = forces, of a rod with its inertia about the hinge."""

    def slope(t, y):
        _, x_dot, theta, theta_dot = y
        m, length = world.pole_mass, world.length
        mass = np.array([[world.cart_mass + m, -m * length * math.cos(theta) / 2], [-m * length * math.cos(theta) / 2, m * length**2 / 3]])
        forces = [
            force - world.friction * x_dot - m * length * theta_dot**2 * math.sin(theta) / 2,
            m * world.gravity * length * math.sin(theta) / 2,
        ]
        return [x_dot, *np.linalg.solve(mass, forces)[:1], theta_dot, np.linalg.solve(mass, forces)[1]]

    return slope


def test_steps_approach_the_solution_in_proportion_to_dt():
    begin, seconds, force = (0.1, -0.3, math.pi + 0.4, 0.5), 1.0, 4.0
    world = CartPoleSwingUp()
    exact = solve_ivp(lagrangian(world, force), (0, seconds), begin, rtol=1e-10, atol=1e-12, method="DOP853").y[:, -1]
    errors = []
    for dt in (1e-3, 1e-4):
        world = CartPoleSwingUp(dt=dt, track=100.0)
        s = state(*begin)
        for _ in range(round(seconds / dt)):
            s, _ = world.step(s, torch.tensor(force / world.force, dtype=torch.float64))
        errors.append(np.abs(np.array([float(one) for one in s]) - exact).max())
    assert errors[1] < 1e-2
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.15)


def test_nothing_but_force_and_friction_changes_the_energy():
    world = CartPoleSwingUp(friction=0.0, dt=1e-4, track=100.0)
    s = state(0.0, 0.5, 2.0, 1.0)
    before = float(world.energy(s))
    for _ in range(5_000):
        s, _ = world.step(s, torch.zeros((), dtype=torch.float64))
    assert abs(float(s.theta) - 2.0) > 0.5
    assert float(world.energy(s)) == pytest.approx(before, abs=2e-2)


def test_gymnasium_s_cart_pole_moves_as_it_does():
    gymnasium = pytest.importorskip("gymnasium")
    peer = gymnasium.make("CartPole-v1").unwrapped
    peer.reset(seed=0)
    world = CartPoleSwingUp(
        gravity=peer.gravity,
        cart_mass=peer.masscart,
        pole_mass=peer.masspole,
        length=2 * peer.length,
        friction=0.0,
        force=peer.force_mag,
        dt=peer.tau,
    )
    s = state(*(peer.state * (1, 1, -1, -1)))  # its angle runs the other way round
    for k in range(12):
        action = k % 3 == 0
        peer.step(int(action))
        s, _ = world.step(s, torch.tensor(1.0 if action else -1.0, dtype=torch.float64))
        np.testing.assert_allclose([float(s.x), float(s.x_dot), -float(s.theta), -float(s.theta_dot)], peer.state, rtol=1e-9, atol=1e-12)


def test_reward_is_1_upright_in_the_middle_and_0_hanging_at_the_end_or_off_the_track():
    world = CartPoleSwingUp()
    at = [state(0.0, 0.0, 0.0, 0.0), state(0.0, 0.0, math.pi, 0.0), state(2.4, 0.0, 0.0, 0.0), state(2.5, 0.0, 0.0, 0.0)]
    assert [round(float(world.reward(s)), 9) for s in at] == [1, 0, 0, 0]
    assert float(world.reward(state(1.2, 0.0, math.pi / 2, 0.0))) == pytest.approx(0.5 * math.cos(math.pi / 4))
    s, reward = world.step(at[3], torch.tensor(1.0, dtype=torch.float64))
    assert s == at[3]
    assert reward == 0


def test_carts_do_not_touch_and_begin_hanging():
    world = CartPoleSwingUp()
    s = world.reset(3, 1000, generator=torch.Generator().manual_seed(0))
    assert float(s.theta.mean()) == pytest.approx(math.pi, abs=0.02)
    assert float(s.x_dot.std()) == pytest.approx(0.2, rel=0.05)
    moved, reward = world.step(s, torch.ones(3, 1000))
    alone, its = world.step(CartPoleState(*(one[1, 7] for one in s)), torch.ones(()))
    torch.testing.assert_close([one[1, 7] for one in moved], list(alone))
    torch.testing.assert_close(reward[1, 7], its)
    assert world.sensors(s).shape == (3, 1000, 5)
