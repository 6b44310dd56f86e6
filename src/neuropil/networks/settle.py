"""Let the inhibition of a reservoir settle, so that every cell fires at its target rate, before anything reads it."""

from __future__ import annotations

import torch
from torch import Tensor

from neuropil.dynamics.parameter import Value
from neuropil.networks.reservoir import Reservoir
from neuropil.plasticity import InhibitoryHomeostasis
from neuropil.synapses import ExcitatoryInhibitory


@torch.no_grad()
def settle_inhibition(reservoir: Reservoir, x: Tensor, *, target: Value, rate: float) -> Tensor:
    """Drive the reservoir with ``x`` [T, K] while ``InhibitoryHomeostasis`` moves its inhibitory synapses, and leave them where they end.

    Equation: at each moment ``w_ij <- max(0, w_ij + rate (r_i - target_i) r_j)`` for every inhibitory synapse that is there; all others stay. ``target`` shared or one a cell, in units of the rates; ``rate`` per
    moment, 0 changes nothing. Returns the rates [T, N] of the run. Raises ``TypeError`` for recurrent connections that are not ``ExcitatoryInhibitory``. Source: vogels2011.
    """
    synapse = reservoir.network.synapse
    if not isinstance(synapse, ExcitatoryInhibitory):
        raise TypeError(
            f"Inhibition settles in a Reservoir of ExcitatoryInhibitory connections, {type(synapse).__name__} was given; build it with these."
        )
    cell, inhibits = reservoir.network.cell, synapse.inhibitory
    weight = -synapse.effective()[:, inhibits]
    rule = InhibitoryHomeostasis(
        weight.shape[1], len(weight), rate=rate, target=target, weight=weight, connected=synapse.connected[:, inhibits]
    )
    rule.to(weight)
    excitation = (synapse.effective() * ~inhibits).mT.contiguous()
    s, rates = rule.initial(), torch.zeros(len(weight), dtype=weight.dtype, device=weight.device)
    inner, seen = None, []
    for drive in reservoir.current(x):
        inhibition, s = rule.step(rates[inhibits], s, post=rates)
        rates, inner = cell.step(drive + rates @ excitation + inhibition, inner)
        seen.append(rates)
    if rate:
        scale = synapse.inhibition.unsqueeze(-1).expand(len(weight), 1)
        synapse.weight[:, inhibits] = torch.where(scale > 0, s.w / scale, synapse.weight[:, inhibits])
    return torch.stack(seen)
