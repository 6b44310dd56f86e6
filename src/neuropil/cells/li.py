"""Leaky integrator: a membrane without spikes; read-outs, low-pass filters, synaptic currents."""

from typing import NamedTuple

from torch import Tensor

from neuropil.dynamics import Cell, Decay
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


@CELLS.register(cites=("gerstner2014",), tags=("leaky", "non-spiking"))
class LI(Cell):
    """Leaky integrator, the LIF without threshold.

    Equation: ``v <- d v + x``, ``y = v`` with ``d = exp(-dt / tau)``: the exact solution of ``tau dv/dt = -v`` where ``x`` raises ``v`` at
    once at the end of each step. A current ``I`` held over the step is ``x = (1 - d) I``.

    ``x``, ``y`` [T, ..., N]; ``v`` in the units of ``x``; ``tau`` (shared or [N]), ``dt`` in seconds; ``learnable`` makes ``tau`` a
    parameter. Raises ``ValueError`` for ``tau`` not above 0, ``dt`` missing or above ``tau``. Source: gerstner2014, chapter 1.
    """

    emits = "potential"

    class State(NamedTuple):
        """``v``: membrane potential."""

        v: Tensor

    def __init__(self, size: int | None = None, *, tau: Value = 0.02, dt: float | None = None, learnable: bool = False) -> None:
        super().__init__(size, dt=dt)
        self.decay = Decay(tau, dt=dt, size=size, learnable=learnable)

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        v = self.decay() * s.v + x
        return self.State(v), v
