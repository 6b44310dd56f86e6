"""Leaky integrate-and-fire."""

from typing import NamedTuple

from torch import Tensor

from neuropil.cells.spiking import SpikingCell
from neuropil.dynamics import Decay, Reset, Surrogate
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS
from neuropil.dynamics.reset import Mode


@CELLS.register(cites=("gerstner2014",), tags=("leaky", "spiking"))
class LIF(SpikingCell):
    """Leaky integrate-and-fire neuron.

    Equation: ``v <- d v + x``; ``spike = 1 if v >= threshold``; ``v <- v - spike threshold`` (soft reset) or ``v <- 0`` (hard), with
    ``d = exp(-dt / tau)``: between spikes exact for ``tau dv/dt = -v`` where ``x`` raises ``v`` at once at the end of each step. A current
    ``I`` held over the step is ``x = (1 - d) I``; spikes are seen at the end of the step in which the threshold is crossed.

    ``x`` [T, ..., N], ``y`` [T, ..., N] spikes 0 or 1; ``v`` in the units of ``threshold`` (shared or [N]); ``tau`` (shared or [N]), ``dt``
    in seconds. Raises ``ValueError`` for ``tau`` or ``threshold`` not above 0, ``dt`` missing or above ``tau``.
    Source: gerstner2014, chapter 1. Differs from LI in that it fires and is reset.
    """

    class State(NamedTuple):
        """``v``: membrane potential, in units of threshold."""

        v: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: Value = 0.02,
        dt: float | None = None,
        threshold: Value = 1.0,
        reset: Reset | Mode = "soft",
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(size, dt=dt, threshold=threshold, reset=reset, surrogate=surrogate)
        self.decay = Decay(tau, dt=dt, size=size)

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        v = self.decay() * s.v + x
        spike = self.surrogate(v - self.threshold)
        return self.State(self.reset(v, spike, self.threshold)), spike
