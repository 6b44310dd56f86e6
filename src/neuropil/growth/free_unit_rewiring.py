"""Rewiring towards free units: units in use lose their inputs from free ones, and as many connections grow onto free units."""

from __future__ import annotations

import torch
from torch import Tensor

from neuropil.growth.sparse_mask import SparseMask


@torch.no_grad()
def rewire_free_units(
    mask: SparseMask, name: str, free_in: Tensor, free_out: Tensor, *, share: float = 1.0, generator: torch.Generator | None = None
) -> tuple[int, int]:
    """Swap connections of one layer at constant density and return how many were dropped and how many grew.

    Of the n connections ``m_ij`` from free units j (``free_in`` bool [inputs]) to used units i (those not ``free_out``, bool [outputs]) ``round(share n)`` go, drawn at random; as many absent
    ones onto free units i, from any j, come at random with weight 0, fewer where places are lacking. ``share=0`` changes nothing.
    The mask changes at once and absent weights are set to 0; what an optimiser remembers is not touched, so make it anew or call ``mask.apply(optimizer)``.
    Raises ``ValueError`` for a name that is not masked, a weight that is no matrix, other sizes or kinds of ``free_in`` and ``free_out``, and a share outside 0 to 1. Source: gurbuz2023.
    """
    kept, weight = mask[name], mask.weight(name)
    if kept.ndim != 2 or (free_out.dtype, free_in.dtype, *free_out.shape, *free_in.shape) != (torch.bool, torch.bool, *kept.shape):
        raise ValueError(
            f"{name!r} of shape {list(kept.shape)} takes free_in and free_out as bool [inputs] and [outputs] of a matrix, {free_in.dtype} {list(free_in.shape)} and {free_out.dtype} {list(free_out.shape)} were given."
        )
    if not 0 <= share <= 1:
        raise ValueError(f"The share dropped is from 0 to 1, {share!r} was given.")
    leaving = (kept & ~free_out[:, None] & free_in).flatten().nonzero().squeeze(1)
    leaving = leaving[torch.randperm(len(leaving), generator=generator)[: round(share * len(leaving))]]
    places = (~kept & free_out[:, None]).flatten().nonzero().squeeze(1)
    places = places[torch.randperm(len(places), generator=generator)[: len(leaving)]]
    changed = kept.flatten().clone()
    changed[leaving] = False
    changed[places] = True
    weight.view(-1)[places] = 0.0
    mask[name] = changed.view(kept.shape)
    mask.apply()
    return len(leaving), len(places)
