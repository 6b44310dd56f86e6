"""Cart-pole swing-up, many at once: a cart on a track lifts a hanging pole and holds it up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class CartPoleState(NamedTuple):
    """``x`` metres from the middle, ``x_dot`` metres a second, ``theta`` radians from upright, ``theta_dot`` radians a second; each [...]."""

    x: Tensor
    x_dot: Tensor
    theta: Tensor
    theta_dot: Tensor


@dataclass(frozen=True)
class CartPoleSwingUp:
    """A uniform rod on a cart with friction: the equations of motion, a reward, and the ends of the track, for any number of carts at once.

    Equations, with masses M (cart) and m (pole), length l, force F, friction b, s and c the sine and cosine of theta::

        x''     = (4 (F - b x') + 3 m g s c - 2 m l theta'^2 s) / (4 (M + m) - 3 m c^2)
        theta'' = (6 (F - b x') c + 6 (M + m) g s - 3 m l theta'^2 s c) / (4 l (M + m) - 3 m l c^2)

    one explicit Euler step of ``dt`` seconds a moment; ``F = force max(-1, min(1, action))``. Reward a moment, from 0 to 1:
    ``(1 + cos theta) / 2 cos(pi x / (2 track))``, 0 once the cart has left the track (``abs(x) > track``). Sensors: x, x', cos theta, sin theta, theta'.

    Units: metres, kilograms, seconds, newtons. States [...], actions [...]. Source: the task of cooperator-two-point2023 (after tang2021), from their code; a pole that hangs to the
    authors' ``theta = pi``. Differs from it in that a cart off the track stays where it is, without reward, instead of ending, so that a batch keeps one length.
    """

    gravity: float = 9.82
    cart_mass: float = 0.5
    pole_mass: float = 0.5
    length: float = 0.6
    friction: float = 0.1
    force: float = 10.0
    track: float = 2.4
    dt: float = 0.01

    def reset(self, *shape: int, generator: torch.Generator, spread: float = 0.2) -> CartPoleState:
        """Hang the poles: every variable normal with standard deviation ``spread`` around a pole at rest, hanging, in the middle."""
        x, x_dot, theta, theta_dot = spread * torch.randn(4, *shape, generator=generator)
        return CartPoleState(x, x_dot, theta + math.pi, theta_dot)

    def acceleration(self, s: CartPoleState, force: Tensor) -> tuple[Tensor, Tensor]:
        """Of the cart, metres a second squared, and of the pole, radians a second squared, under ``force`` newtons."""
        sin, cos = s.theta.sin(), s.theta.cos()
        mass, moment = self.cart_mass + self.pole_mass, self.pole_mass * self.length
        pull, swing = force - self.friction * s.x_dot, moment * s.theta_dot.square() * sin
        share = 4 * mass - 3 * self.pole_mass * cos.square()
        return (
            (4 * pull + 3 * self.pole_mass * self.gravity * sin * cos - 2 * swing) / share,
            (6 * pull * cos + 6 * mass * self.gravity * sin - 3 * swing * cos) / (self.length * share),
        )

    def step(self, s: CartPoleState, action: Tensor) -> tuple[CartPoleState, Tensor]:
        """One moment: the state and the action -> the next state and its reward."""
        x_acceleration, acceleration = self.acceleration(s, self.force * action.clamp(-1, 1))
        moved = CartPoleState(
            s.x + self.dt * s.x_dot,
            s.x_dot + self.dt * x_acceleration,
            s.theta + self.dt * s.theta_dot,
            s.theta_dot + self.dt * acceleration,
        )
        on = s.x.abs() <= self.track
        s = CartPoleState(*(torch.where(on, new, old) for new, old in zip(moved, s, strict=True)))
        return s, self.reward(s)

    def reward(self, s: CartPoleState) -> Tensor:
        """How upright the pole and how central the cart is, from 0 to 1."""
        found = (1 + s.theta.cos()) / 2 * (s.x * math.pi / (2 * self.track)).cos()
        return torch.where(s.x.abs() <= self.track, found, torch.zeros_like(found))

    def sensors(self, s: CartPoleState) -> Tensor:
        """What the five sensors say: [...] -> [..., 5]."""
        return torch.stack((s.x, s.x_dot, s.theta.cos(), s.theta.sin(), s.theta_dot), -1)

    def energy(self, s: CartPoleState) -> Tensor:
        """Kinetic and potential energy in joules, 0 for a pole at rest and level: what friction and force alone change."""
        moment = self.pole_mass * self.length
        kinetic = (
            (self.cart_mass + self.pole_mass) * s.x_dot.square() / 2
            - moment * s.x_dot * s.theta_dot * s.theta.cos() / 2
            + moment * self.length * s.theta_dot.square() / 6
        )
        return kinetic + moment * self.gravity * s.theta.cos() / 2
