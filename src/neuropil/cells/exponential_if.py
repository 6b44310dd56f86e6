"""Exponential integrate-and-fire: a leaky membrane with the sharp upstroke of a real spike."""

from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.dynamics import Cell, Sigmoid, Surrogate, parameter
from neuropil.dynamics.parameter import Value, check_dt
from neuropil.dynamics.registry import CELLS


@CELLS.register(cites=("fourcaud2003",), tags=("leaky", "spiking", "nonlinear"), example={"size": 4, "dt": 1e-4})
class ExponentialIF(Cell):
    """Exponential integrate-and-fire neuron.

    Equation: ``tau dv/dt = -(v - rest) + sharpness exp((v - onset) / sharpness) + x``; where ``v >= peak``: spike, ``v <- reset``. Stepped by Euler.
    Above the rheobase, ``x > onset - rest - sharpness``, a constant input makes it fire for ever; below, one fixed point holds it.

    ``x`` [T, ..., N] input (current times resistance), mV; ``y`` [T, ..., N] spikes; ``v``, ``rest``, ``onset``, ``sharpness``, ``peak``, ``reset`` in mV, each shared or [N]; ``tau``,
    ``dt`` in seconds. The defaults are the published fit but for ``peak``, above which nothing but the moment of the spike depends on it. Raises ``ValueError`` for ``tau`` or
    ``sharpness`` not above 0, ``dt`` missing or above ``tau / 20``, where Euler's steps no longer follow the upstroke. Source: fourcaud2003. Differs from
    the paper in having no refractory period (1.7 ms there).
    """

    emits = "spikes"

    class State(NamedTuple):
        """``v``: membrane potential, mV."""

        v: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: Value = 0.01,
        rest: Value = -65.0,
        onset: Value = -59.9,
        sharpness: Value = 3.48,
        peak: Value = -30.0,
        reset: Value = -68.0,
        dt: float | None = None,
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        self.step_length = check_dt(dt, "ExponentialIF")
        self.tau = parameter(tau, size=size, positive=True, name="tau")
        self.sharpness = parameter(sharpness, size=size, positive=True, name="sharpness")
        self.rest, self.onset, self.peak, self.reset = (
            parameter(value, size=size, name=name) for name, value in (("rest", rest), ("onset", onset), ("peak", peak), ("reset", reset))
        )
        shortest = float(self.tau.min())
        if self.step_length > shortest / 20 * (1 + 1e-6):
            raise ValueError(
                f"dt is at most tau / 20 = {shortest / 20:g} s, {dt:g} s was given; the upstroke of a spike takes short steps."
            )
        self.surrogate = Surrogate.of(surrogate, Sigmoid(slope=0.1))

    def resting(self) -> dict[str, Tensor | float]:
        """Begins at ``rest``."""
        return {"v": self.rest}

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        upstroke = self.sharpness * torch.exp((s.v - self.onset) / self.sharpness)
        v = s.v + self.step_length / self.tau * (self.rest - s.v + upstroke + x)
        spike = self.surrogate(v - self.peak)
        return self.State(v - spike * (v - self.reset)), spike
