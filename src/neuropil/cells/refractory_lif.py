"""Leaky integrate-and-fire with an absolute refractory period."""

from typing import Any, NamedTuple

from torch import Tensor

from neuropil.cells.lif import LIF
from neuropil.dynamics import heaviside
from neuropil.dynamics.registry import CELLS


@CELLS.register(
    cites=("gerstner2014",),
    tags=("leaky", "spiking"),
    off={"refractory": 0.0},
    like=lambda off: LIF(off.size, dt=off.dt),
)
class RefractoryLIF(LIF):
    """LIF that neither integrates nor fires for ``refractory`` seconds after a spike.

    Equation: while ``left > 0``: ``v`` stays, ``left <- left - 1``, no spike; otherwise as LIF, and a spike sets
    ``left = round(refractory / dt)`` steps. The interval between two spikes is longer than the LIF's by exactly that many steps.

    Shapes, units, errors and arguments as LIF; ``refractory`` in seconds, 0 or more, else ``ValueError``. No gradient flows through
    ``left``. Source: gerstner2014, section 1.3.
    """

    class State(NamedTuple):
        """``v``: membrane potential, in units of threshold; ``left``: steps of rest still to come."""

        v: Tensor
        left: Tensor

    def __init__(self, size: int | None = None, *, refractory: float = 2e-3, **lif: Any) -> None:
        super().__init__(size, **lif)
        if not 0 <= refractory < float("inf"):
            raise ValueError(f"refractory is a time in seconds, 0 or more, {refractory!r} was given; give for example 2e-3.")
        self.refractory = float(refractory)
        self.steps = round(refractory / self.dt) if self.dt else 0

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:  # type: ignore[override]
        """One moment."""
        awake = heaviside(-s.left)
        v = s.v + awake * (self.decay() * s.v + x - s.v)
        distance = v - self.threshold
        spike = awake * self.surrogate(distance)
        fired = awake * heaviside(distance)
        return self.State(self.reset(v, spike, self.threshold), (s.left - 1).clamp(min=0) + fired * self.steps), spike
