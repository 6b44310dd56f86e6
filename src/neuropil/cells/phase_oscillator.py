"""Phase oscillator: a rhythm that knows nothing but where in its cycle it is."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.dynamics import Cell, parameter
from neuropil.dynamics.parameter import Value, check_dt
from neuropil.dynamics.registry import CELLS


@CELLS.register(
    cites=("kuramoto1984",),
    tags=("oscillator", "phase"),
    off={"hertz": 0.0},
    like=lambda off: lambda x: off.dt * torch.cumsum(x, 0),
)
class PhaseOscillator(Cell):
    """Phase oscillator: a phase that runs at a frequency of its own, which inputs speed up and slow down.

    Equation: ``d theta / dt = 2 pi hertz + x``, ``y = theta``, stepped by Euler: ``theta <- theta + dt (2 pi hertz + x)``, exact for an ``x``
    held over each step. ``hertz = 0`` integrates its input.

    The Kuramoto network: each oscillator hears all others, ``d theta_i / dt = 2 pi hertz_i + (K / N) sum_j sin(theta_j - theta_i)``::

        network = Recurrent(PhaseOscillator(N, hertz=hertz, dt=1e-3), KuramotoCoupling(N, K))
        theta, s = network(torch.zeros(T, B, N))                         # all begin at phase 0
        s = network.State(network.cell.State(start), start)              # or at ``start`` [B, N]: the phase, and the output last heard
        theta, s = network(torch.zeros(T, B, N), s)

    ``x`` [T, ..., N] in radians a second, ``y`` and ``theta`` [..., N] in radians, not wrapped: float32 holds them to a milliradian for about
    a thousand cycles, float64 for longer; ``hertz`` in cycles a second, of either sign or 0 (shared or [N]); ``dt`` in seconds. Raises
    ``ValueError`` for a ``hertz`` that is not finite, ``dt`` missing or above half a period. Source: kuramoto1984.
    """

    emits = "phase"

    class State(NamedTuple):
        """``theta``: phase in radians, not wrapped."""

        theta: Tensor

    def __init__(self, size: int | None = None, *, hertz: Value = 10.0, dt: float | None = None, learnable: bool = False) -> None:
        super().__init__(size, dt=dt)
        self.step_length = check_dt(dt, "PhaseOscillator")
        self.hertz = parameter(hertz, size=size, learnable=learnable, name="hertz")
        fastest = float(self.hertz.detach().abs().max())
        if self.step_length * fastest > 0.5:
            raise ValueError(
                f"dt is at most half a period, {0.5 / fastest:g} s at {fastest:g} hertz, {dt:g} s was given; take shorter steps."
            )

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        theta = s.theta + self.step_length * (2 * math.pi * self.hertz + x)
        return self.State(theta), theta
