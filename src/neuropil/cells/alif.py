"""Adaptive-threshold leaky integrate-and-fire: every spike makes the next one harder."""

from typing import NamedTuple

from torch import Tensor

from neuropil.cells.lif import LIF
from neuropil.cells.spiking import SpikingCell
from neuropil.dynamics import Decay, Reset, Surrogate, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS
from neuropil.dynamics.reset import Mode


@CELLS.register(cites=("bellec2018",), tags=("leaky", "spiking", "adaptive"), off={"beta": 0.0}, like=lambda off: LIF(off.size, dt=off.dt))
class ALIF(SpikingCell):
    """Adaptive LIF: a threshold that rises with each spike and relaxes slowly.

    Equation: ``v <- d v + x``; ``A = threshold + beta a``; ``spike = 1 if v >= A``; ``v <- v - spike A``; ``a <- d_a a + spike``, with
    ``d = exp(-dt / tau)``, ``d_a = exp(-dt / tau_adapt)``. ``beta = 0`` is the LIF.

    ``x`` [T, ..., N], ``y`` [T, ..., N] spikes; ``v`` in units of threshold, ``a`` a count of recent spikes, ``beta`` the rise of the
    threshold per spike (shared or [N]); ``tau``, ``tau_adapt``, ``dt`` in seconds. Raises ``ValueError`` for times or threshold not above 0,
    ``dt`` missing or above either ``tau``. Source: bellec2018. Differs from the authors' code, where
    ``a <- d_a a + (1 - d_a) z``; ``A = threshold + beta a``; ``v <- d v + (1 - d) x - dt z A``; ``z <- 1 / dt if v > A`` with the ``v`` before,
    else 0: there ``x`` is scaled by ``1 - d``, ``beta`` is this one times ``dt / (1 - d_a)``, a spike comes a moment after its crossing and
    the reset a moment after the spike, undecayed and by the threshold that the spike has raised; a refractory time and delays are extra.
    """

    class State(NamedTuple):
        """``v``: membrane potential, in units of threshold; ``a``: adaptation, decaying count of spikes."""

        v: Tensor
        a: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: Value = 0.02,
        tau_adapt: Value = 0.2,
        beta: Value = 0.2,
        dt: float | None = None,
        threshold: Value = 1.0,
        reset: Reset | Mode = "soft",
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(size, dt=dt, threshold=threshold, reset=reset, surrogate=surrogate)
        self.decay = Decay(tau, dt=dt, size=size)
        self.decay_adapt = Decay(tau_adapt, dt=dt, size=size, name="tau_adapt")
        self.beta = parameter(beta, size=size, name="beta")

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        v = self.decay() * s.v + x
        threshold = self.threshold + self.beta * s.a
        spike = self.surrogate(v - threshold)
        return self.State(self.reset(v, spike, threshold), self.decay_adapt() * s.a + spike), spike
