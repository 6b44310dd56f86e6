"""Resonate-and-fire: a membrane that rings at its own frequency and fires when it swings high enough."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.dynamics import Cell, Decay, FastSigmoid, Surrogate, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


@CELLS.register(cites=("izhikevich2001",), tags=("spiking", "resonant", "second-order"))
class ResonateAndFire(Cell):
    """Resonate-and-fire neuron: a damped oscillation ``z = u + i v`` that inputs kick along its real axis.

    Equation: ``z <- d exp(i 2 pi hertz dt) z + x`` with ``d = exp(-dt / tau)``, exact for ``dz/dt = (-1 / tau + i 2 pi hertz) z`` with inputs at the end of each
    step; where ``v >= threshold``: spike, ``z <- i threshold``. Two inputs a period apart add, half a period apart they cancel.

    ``x`` [T, ..., N], ``y`` [T, ..., N] spikes; ``u`` (current), ``v`` (voltage) in the units of ``threshold``; ``hertz`` in cycles a second, ``tau`` and ``dt`` in seconds, all but
    ``dt`` shared or [N]. Raises ``ValueError`` for ``tau``, ``hertz`` or ``threshold`` not above 0, ``dt`` missing, above ``tau`` or above half a period. Source: izhikevich2001.
    """

    emits = "spikes"

    class State(NamedTuple):
        """``u``: current-like part; ``v``: voltage-like part, both in units of threshold."""

        u: Tensor
        v: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        hertz: Value = 40.0,
        tau: Value = 0.02,
        threshold: Value = 1.0,
        dt: float | None = None,
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        self.decay = Decay(tau, dt=dt, size=size)
        self.hertz = parameter(hertz, size=size, positive=True, name="hertz")
        self.threshold = parameter(threshold, size=size, positive=True, name="threshold")
        self.turn = 2 * math.pi * self.decay.dt
        fastest = float(self.hertz.max())
        if self.decay.dt * fastest > 0.5:
            raise ValueError(
                f"dt is at most half a period, {0.5 / fastest:g} s at {fastest:g} hertz, {dt:g} s was given; take shorter steps."
            )
        self.surrogate = Surrogate.of(surrogate, FastSigmoid())

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        decay, angle = self.decay(), self.turn * self.hertz
        u = decay * (torch.cos(angle) * s.u - torch.sin(angle) * s.v) + x
        v = decay * (torch.sin(angle) * s.u + torch.cos(angle) * s.v)
        spike = self.surrogate(v - self.threshold)
        return self.State(u - spike * u, v - spike * (v - self.threshold)), spike
