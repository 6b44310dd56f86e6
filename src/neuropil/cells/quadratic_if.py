"""Quadratic integrate-and-fire: the canonical neuron that begins to fire at arbitrarily low rates."""

from typing import NamedTuple

from torch import Tensor

from neuropil.dynamics import Cell, FastSigmoid, Surrogate, parameter
from neuropil.dynamics.parameter import Value, check_dt
from neuropil.dynamics.registry import CELLS


@CELLS.register(cites=("ermentrout1986", "gerstner2014"), tags=("spiking", "nonlinear"))
class QuadraticIF(Cell):
    """Quadratic integrate-and-fire neuron, the normal form of a saddle-node on a circle (the theta neuron in other coordinates).

    Equation: ``tau dv/dt = v^2 + x``; where ``v >= peak``: spike, ``v <- -peak``. Stepped by Euler. A constant ``x > 0`` makes it fire every
    ``2 tau / sqrt(x) arctan(peak / sqrt(x))`` seconds, ``pi tau / sqrt(x)`` for a high peak; for ``x < 0`` it rests at ``-sqrt(-x)``.

    ``x`` [T, ..., N], ``y`` [T, ..., N] spikes; ``v``, ``x`` without units; ``peak`` shared or [N]; ``tau`` (shared or [N]), ``dt`` in seconds. Raises ``ValueError`` for ``tau`` or
    ``peak`` not above 0, ``dt`` missing or above ``tau``. Sources: ermentrout1986; gerstner2014, chapter 5. Begins at ``v = 0``.
    """

    emits = "spikes"

    class State(NamedTuple):
        """``v``: membrane potential, without units."""

        v: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: Value = 0.01,
        peak: Value = 10.0,
        dt: float | None = None,
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        self.step_length = check_dt(dt, "QuadraticIF")
        self.tau = parameter(tau, size=size, positive=True, name="tau")
        self.peak = parameter(peak, size=size, positive=True, name="peak")
        shortest = float(self.tau.min())
        if self.step_length > shortest * (1 + 1e-6):
            raise ValueError(f"dt is at most tau = {shortest:g} s, {dt:g} s was given; take shorter steps.")
        self.surrogate = Surrogate.of(surrogate, FastSigmoid(slope=1.0))

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        v = s.v + self.step_length / self.tau * (s.v * s.v + x)
        spike = self.surrogate(v - self.peak)
        return self.State(v - spike * (v + self.peak)), spike
