"""Neuromodulator: a concentration that events raise and uptake lowers, read against its own slow baseline."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neuropil.dynamics import Cell, Decay
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


@CELLS.register(
    cites=("fremaux2016", "izhikevich2007"),
    tags=("leaky", "modulator", "three-factor"),
    example={"size": 4, "dt": 1e-3, "tau_baseline": 2.0},
)
class Neuromodulator(Cell):
    """The trace of a neuromodulator, such as dopamine after rewards: the third factor of plasticity rules.

    Equation: ``c <- d c + x`` (release ``x`` at once, uptake with ``tau``), ``y = c - b`` with the baseline from before this moment, then
    ``b <- d_b b + (1 - d_b) c``; ``d = exp(-dt / tau)``. Without ``tau_baseline`` there is none: ``y = c``. With it ``y`` is the phasic part, reward
    less what was expected, and release at a steady rate comes to modulate nothing.

    ``x``, ``y`` [T, ..., N]: N kinds or places of release, in the units of ``x``; ``c`` concentration, ``b`` its baseline. Give ``y`` to a rule as
    ``modulator`` ([..., 1] reaches all neurons). ``tau``, ``tau_baseline`` (shared or [N]), ``dt`` in seconds; ``learnable`` makes the times
    parameters. Raises ``ValueError`` for times not above 0, ``dt`` missing or above one. Source: izhikevich2007 (concentration), fremaux2016 (baseline).
    """

    emits = "concentration"

    class State(NamedTuple):
        """``c``: concentration; ``b``: its slow baseline, 0 without one."""

        c: Tensor
        b: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: Value = 0.2,
        tau_baseline: Value | None = None,
        dt: float | None = None,
        learnable: bool = False,
    ) -> None:
        super().__init__(size, dt=dt)
        self.decay = Decay(tau, dt=dt, size=size, learnable=learnable)
        slow = None if tau_baseline is None else Decay(tau_baseline, dt=dt, size=size, learnable=learnable, name="tau_baseline")
        self.decay_baseline = slow

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        c = self.decay() * s.c + x
        if self.decay_baseline is None:
            return self.State(c, s.b), c
        kept = self.decay_baseline()
        return self.State(c, kept * s.b + (1 - kept) * c), c - s.b
