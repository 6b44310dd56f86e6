"""The feedforward spiking network: the plain baseline for spike trains, with or without delays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import nn

from neuropil.cells import LI, LIF
from neuropil.dynamics import Arctan, Chain, Reset, Surrogate
from neuropil.dynamics.parameter import Value
from neuropil.synapses import DelayedLinear


class SpikingNet(Chain):
    """Synapses, batch normalisation and LIF neurons, layer after layer, then synapses onto leaky integrators that are read out.

    Equation: ``h_0 = x``, ``h_k = LIF(norm(delayed W_k h_(k-1)))``, ``y = LI(delayed W_K h_(K-1))``; the LIF resets to 0 and is trained by a
    surrogate gradient, the reset passing none. ``max_delay=0`` is a net without delays.

    x [T, B, sizes[0]] -> y [T, B, sizes[-1]] potentials, with its state, as every ``Chain``; ``tau``, ``dt`` in seconds, ``max_delay`` in
    steps, ``dropout`` the share of spikes lost in training. Parts are named ``synapse1``, ``norm1``, ``lif1``, ``dropout1``, ...,
    ``readout``. Anneal, clamp and discretise the delays by ``for synapse in net.synapses(): ...``. Weights and delays start as in
    ``DelayedLinear``, drawn from ``generator`` (None: torch's own).

    Raises ``ValueError`` for fewer than two sizes, and what its parts raise. Source: hammouamri2024, where it is taken with two hidden layers.
    Differs from the authors' code in that dropout is drawn anew at every moment, not once a sequence, and the decay is ``exp(-dt / tau)``.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        dt: float,
        tau: Value = 0.02,
        max_delay: int = 0,
        learnable: bool = True,
        dropout: float = 0.0,
        surrogate: Surrogate | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        if len(sizes) < 2:
            raise ValueError(f"A SpikingNet needs at least two sizes, {list(sizes)} was given; write for example [40, 64, 10].")
        layers: dict[str, nn.Module] = {}
        last = len(sizes) - 1
        for k, (fan_in, fan_out) in enumerate(pairwise(sizes), 1):
            layers[f"synapse{k}"] = DelayedLinear(
                fan_in, fan_out, max_delay=max_delay, learnable=learnable and max_delay > 0, generator=generator
            )
            if k < last:
                layers[f"norm{k}"] = nn.BatchNorm1d(fan_out)
                spikes = Surrogate.of(surrogate, Arctan(slope=5.0))
                layers[f"lif{k}"] = LIF(fan_out, tau=tau, dt=dt, reset=Reset("hard", detach=True), surrogate=spikes)
                if dropout:
                    layers[f"dropout{k}"] = nn.Dropout(dropout)
        layers["readout"] = LI(sizes[-1], tau=tau, dt=dt)
        super().__init__(**layers)

    def synapses(self) -> Iterator[DelayedLinear]:
        """The layers of synapses, from the input on."""
        return (module for module in self.modules() if isinstance(module, DelayedLinear))
