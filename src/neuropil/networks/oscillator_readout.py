"""Readout of oscillators by lengths, which is blind to where on their circle they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuropil.synapses import Conv
from neuropil.synapses.synapse import check_size


class OscillatorReadout(nn.Module):
    """Lengths of learned projections at every place: ``y_k = |U_k x| + b_k``.

    ``x`` [B, C, H, W] -> ``y`` [B, K, H', W']; ``project.weight`` [K dims, C, kernel, kernel], groups of ``dims`` channels give one length each; ``bias`` [K] begins at 0. A rotation that all rows
    of ``U_k`` share changes nothing. Raises as ``Conv`` does, and ``ValueError`` for sizes below 1. Source: miyato2024. Differs from the authors' code in that the projection has no bias of its own, as in the paper.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        dims: int = 4,
        kernel: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.dims = check_size(dims, "dims", "OscillatorReadout")
        self.project = Conv(channels, check_size(out_channels, "out_channels", "OscillatorReadout") * dims, kernel, generator=generator)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Lengths and biases."""
        parts = self.project(x).unflatten(-3, (-1, self.dims))
        lengths: Tensor = parts.square().sum(-3).clamp_min(1e-24).sqrt() + self.bias[:, None, None]
        return lengths
