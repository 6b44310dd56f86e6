"""A reservoir of Izhikevich cells of many kinds, whose adaptation lasts from tens to hundreds of milliseconds, so that time leaves a trace in it."""

from __future__ import annotations

import torch
from torch import nn

from neuropil.cells import LI, Izhikevich
from neuropil.dynamics import Chain
from neuropil.networks.reservoir import Reservoir
from neuropil.synapses import ExcitatoryInhibitory

ADAPTATION = (0.002, 0.03)
"""Range of the recovery rate ``a`` of excitatory cells, 1/ms: adaptation that lasts 500 ms to 33 ms."""


def izhikevich_reservoir(
    size: int,
    *,
    inputs: int = 40,
    gain: float = 5.0,
    bias: float = 4.0,
    heterogeneity: float = 1.0,
    generator: torch.Generator | None = None,
) -> Reservoir:
    """Make a reservoir of 80 % excitatory and 20 % inhibitory Izhikevich cells that takes a current a cell: ``x`` [T, ..., N] -> spikes [T, ..., N].

    Equation: with ``r`` uniform for each cell, excitatory ``(b, c, d) = (0.2, -65 + 15 r^2, 8 - 6 r^2)``, regular spiking to chattering, and ``a`` log-uniform over ``ADAPTATION``; inhibitory ``(a, b, c, d) = (0.02 + 0.08 r, 0.25 - 0.05 r, -65, 2)``, fast spiking to
    low-threshold. ``heterogeneity`` scales how far ``r`` and the exponent of ``a`` lie from the middle of their ranges: 0 makes all cells of a kind alike. Connections as ``ExcitatoryInhibitory`` in balance, one pulse of current a spike; ``bias`` a
    constant current; steps of 1 ms. Raises ``ValueError`` for a heterogeneity outside [0, 1]. Source: izhikevich2003. Differs from it in the range of ``a`` of excitatory cells, there 0.02.
    """
    if not 0 <= heterogeneity <= 1:
        raise ValueError(f"heterogeneity is a share from 0 to 1, {heterogeneity!r} was given; 1 has the cells of izhikevich2003.")
    synapse = ExcitatoryInhibitory(size, size, inputs=inputs, gain=gain, generator=generator)
    r, slow = (0.5 + heterogeneity * (torch.rand(size, generator=generator) - 0.5) for _ in range(2))
    low, high = ADAPTATION
    kinds = (
        (0.02 + 0.08 * r, low * (high / low) ** slow),
        (0.25 - 0.05 * r, torch.full_like(r, 0.2)),
        (torch.full_like(r, -65.0), -65 + 15 * r**2),
        (torch.full_like(r, 2.0), 8 - 6 * r**2),
    )
    a, b, c, d = (torch.where(synapse.inhibitory, inhibits, excites) for inhibits, excites in kinds)
    return Reservoir(Izhikevich(size, a=a, b=b, c=c, d=d, dt=1e-3), synapse, nn.Identity(), bias=bias)


def synaptic_traces(
    size: int,
    *,
    rise: float = 0.005,
    decay: tuple[float, float] = (0.05, 0.5),
    heterogeneity: float = 1.0,
    generator: torch.Generator | None = None,
) -> Chain:
    """Make double-exponential traces of spikes, one a cell, 1 ms a step: [T, ..., N] -> [T, ..., N]; each cell has a decay of its own.

    ``rise`` and ``decay`` in seconds, the latter log-uniform over its range; ``heterogeneity`` as above, 0: the geometric mean for all.
    """
    low, high = decay
    place = 0.5 + heterogeneity * (torch.rand(size, generator=generator) - 0.5)
    return Chain(LI(size, tau=rise, dt=1e-3), LI(size, tau=low * (high / low) ** place, dt=1e-3))
