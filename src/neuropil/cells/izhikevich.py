"""Izhikevich's simple model: two equations, twenty kinds of firing."""

from typing import NamedTuple

from torch import Tensor

from neuropil.dynamics import Cell, Sigmoid, Surrogate, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


@CELLS.register(cites=("izhikevich2003",), tags=("spiking", "second-order", "nonlinear"))
class Izhikevich(Cell):
    """Izhikevich's quadratic neuron, in the published units.

    Equation, time in ms: ``dv/dt = 0.04 v^2 + 5 v + 140 - u + x``, ``du/dt = a (b v - u)``; where ``v >= 30``: spike, ``v <- c``,
    ``u <- u + d``. Stepped by Euler: ``v`` in ``substeps`` equal parts of ``dt``, then ``u`` once with the new ``v``. ``dt = 1e-3`` with
    ``substeps = 2`` is the published scheme of two half-steps; plain Euler is ``substeps = 1``, accurate below about ``dt = 1e-4``.

    ``x`` [T, ..., N] input current; ``y`` [T, ..., N] spikes; ``v`` mV; ``u`` mV/ms; ``a`` 1/ms, ``b`` 1/ms, ``c`` mV, ``d`` mV/ms, each shared or
    [N]; ``dt`` in seconds. Regular spiking (0.02, 0.2, -65, 8) is the default; intrinsically bursting (0.02, 0.2, -55, 4); chattering
    (0.02, 0.2, -50, 2); fast spiking (0.1, 0.2, -65, 2). Starts at ``v = -65``, ``u = b v`` as published. Raises ``ValueError`` for ``dt`` missing or
    above 1e-3 and for ``substeps`` below 1. Source: izhikevich2003. Differs from LIF in that the upstroke of the spike is part of the equation.
    """

    emits = "spikes"

    class State(NamedTuple):
        """``v``: membrane potential, mV; ``u``: recovery, mV/ms."""

        v: Tensor
        u: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        a: Value = 0.02,
        b: Value = 0.2,
        c: Value = -65.0,
        d: Value = 8.0,
        dt: float | None = None,
        substeps: int = 2,
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        if dt is None or dt > 1.001e-3:
            raise ValueError(f"dt of an Izhikevich cell is at most 1e-3 seconds, {dt} was given; the published step is 1e-3.")
        if isinstance(substeps, bool) or not isinstance(substeps, int) or substeps < 1:
            raise ValueError(f"substeps is a whole number, 1 or more, {substeps!r} was given; the published scheme has 2.")
        self.substeps, self.milliseconds = substeps, 1e3 * dt
        self.a, self.b, self.c, self.d = (parameter(p, size=size, name=n) for n, p in (("a", a), ("b", b), ("c", c), ("d", d)))
        self.surrogate = Surrogate.of(surrogate, Sigmoid(slope=0.1))

    def resting(self) -> dict[str, Tensor | float]:
        """The published start."""
        return {"v": -65.0, "u": -65.0 * self.b}

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        v = s.v
        for _ in range(self.substeps):
            v = v + self.milliseconds / self.substeps * (0.04 * v * v + 5 * v + 140 - s.u + x)
        u = s.u + self.milliseconds * self.a * (self.b * v - s.u)
        spike = self.surrogate(v - 30)
        return self.State(v - spike * (v - self.c), u + spike * self.d), spike
