"""My part: replace this line by what the neuron is."""

from typing import NamedTuple

from neuropil.cells import LIF
from neuropil.dynamics import Cell, Decay, FastSigmoid, parameter
from neuropil.dynamics.registry import CELLS
from torch import Tensor


@CELLS.register(
    cites=("gerstner2014",),
    tags=("spiking", "adaptive"),
    off={"strength": 0.0},
    like=lambda off: LIF(off.size, dt=off.dt),
)
class MyPart(Cell):
    """A leaky integrate-and-fire neuron that every spike of its own holds back.

    Equation, with ``d = exp(-dt / tau)`` and the like for ``tau_slow``:
    ``v <- d v + x - strength a``; ``spike = 1 if v >= 1``; ``v <- v - spike``;
    ``a <- d_slow a + spike``. At strength 0 it is an LIF.

    ``x`` [T, ..., N] -> ``y`` [T, ..., N] spikes; ``tau``, ``tau_slow`` and ``dt`` in
    seconds; ``strength`` in units of the threshold, a spike.
    """

    emits = "spikes"

    class State(NamedTuple):
        """``v``: membrane potential; ``a``: the slow current, in spikes."""

        v: Tensor
        a: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: float = 0.02,
        tau_slow: float = 0.1,
        strength: float = 0.2,
        dt: float | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        self.decay = Decay(tau, dt=dt, size=size)
        self.slow = Decay(tau_slow, dt=dt, size=size, name="tau_slow")
        self.strength = parameter(strength, size=size, name="strength")
        self.surrogate = FastSigmoid()

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        v = self.decay() * s.v + x - self.strength * s.a
        spike = self.surrogate(v - 1)
        return self.State(v - spike, self.slow() * s.a + spike), spike
