"""A spiking neuron ensheathed by an astrocyte: slow calcium follows its firing and sets the gain of its synapses."""

from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.cells.lif import LIF
from neuropil.cells.spiking import SpikingCell
from neuropil.dynamics import Decay, Reset, Surrogate, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS
from neuropil.dynamics.reset import Mode


@CELLS.register(
    cites=("astro-snn-language2023",),
    tags=("leaky", "spiking", "adaptive", "astrocyte"),
    off={"strength": 0.0},
    like=lambda off: LIF(off.size, dt=off.dt),
)
class AstrocyteLIF(SpikingCell):
    """LIF whose input is scaled by gliotransmission, a sigmoid of the calcium that its own spikes leave in its astrocyte.

    Equation: ``gain = 1 + strength (2 g - 1)``, ``g = 1 / (1 + exp(-(c - level) / width))``; ``v <- d v + gain x``, then spike and reset as LIF; ``c <- d_c c + spike``, with
    ``d = exp(-dt / tau)``, ``d_c = exp(-dt / tau_calcium)``. At a steady rate calcium is the rate times ``tau_calcium``: a cell that was active hears more, for that long. ``strength = 0`` is the LIF.

    ``x`` [T, ..., N], ``y`` [T, ..., N] spikes; ``v`` in units of threshold; ``c``, ``level``, ``width`` a decaying count of recent spikes; ``strength``, ``level``, ``width``, ``tau``, ``tau_calcium`` shared or [N], the first two learned with
    ``learnable``; ``tau``, ``tau_calcium``, ``dt`` in seconds. Raises ``ValueError`` for times, ``width`` or threshold not above 0, ``dt`` missing or above a ``tau``.
    Source: astro-snn-language2023, of which no equations could be read: this is our reading of its abstract, with an astrocyte a cell instead of one for a group.
    """

    class State(NamedTuple):
        """``v``: membrane potential, in units of threshold; ``c``: calcium, a decaying count of recent spikes."""

        v: Tensor
        c: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: Value = 0.02,
        tau_calcium: Value = 0.2,
        strength: Value = 0.5,
        level: Value = 4.0,
        width: Value = 2.0,
        learnable: bool = False,
        dt: float | None = None,
        threshold: Value = 1.0,
        reset: Reset | Mode = "soft",
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(size, dt=dt, threshold=threshold, reset=reset, surrogate=surrogate)
        self.decay = Decay(tau, dt=dt, size=size)
        self.decay_calcium = Decay(tau_calcium, dt=dt, size=size, name="tau_calcium")
        own = learnable and size is not None
        self.strength = parameter(strength, size=size, learnable=learnable, per_neuron=own, name="strength")
        self.level = parameter(level, size=size, learnable=learnable, per_neuron=own, name="level")
        self.width = parameter(width, size=size, positive=True, name="width")

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        gain = 1 + self.strength * torch.tanh(0.5 * (s.c - self.level) / self.width)
        v = self.decay() * s.v + gain * x
        spike = self.surrogate(v - self.threshold)
        return self.State(self.reset(v, spike, self.threshold), self.decay_calcium() * s.c + spike), spike
