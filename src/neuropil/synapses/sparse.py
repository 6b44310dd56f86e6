"""Connections of which most do not exist."""

import torch
from torch import Tensor, nn

from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.synapse import Synapse, normal


@SYNAPSES.register(
    cites=("brunel2000",),
    tags=("stateless", "sparse"),
    example={"size": 4, "out_size": 3, "density": 0.5},
    off={"density": 1.0},
    like=lambda off: lambda x: x @ off.weight.mT,
)
class Sparse(Synapse):
    """A fixed wiring: each postsynaptic neuron hears the same number of presynaptic ones, drawn once.

    Equation: ``y = (mask * W) x``, with ``K = round(density N)`` ones, at least one, in every row of ``mask``;
    ``W ~ Normal(0, gain^2 / K)``. Absent connections get no gradient and stay absent under any optimiser.

    ``x`` [..., N] -> ``y`` [..., M]; ``weight`` [M, N]; ``mask`` bool [M, N], given, or drawn with ``generator``. Computed densely. Raises
    ``ValueError`` for a density outside (0, 1], and a mask of another shape or dtype or with an empty row. Source: brunel2000 (fixed in-degree).
    """

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        density: float = 0.1,
        mask: Tensor | None = None,
        gain: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size, out_size)
        if not 0 < density <= 1:
            raise ValueError(f"density is a share above 0 and at most 1, {density!r} was given; 0.1 connects every tenth pair.")
        if mask is None:
            chosen = torch.rand(out_size, size, generator=generator).argsort(-1)[:, : max(1, round(density * size))]
            mask = torch.zeros(out_size, size, dtype=torch.bool).scatter(-1, chosen, True)
        if mask.dtype != torch.bool or mask.shape != (out_size, size):
            raise ValueError(f"mask is bool [{out_size}, {size}], {mask.dtype} {list(mask.shape)} was given; True where a connection is.")
        if not mask.any(-1).all():
            raise ValueError(f"mask leaves neuron {int((~mask.any(-1)).nonzero()[0])} without input; give every row one True or more.")
        self.mask = nn.Buffer(mask.clone())
        self.weight = normal(out_size, size, spread=gain, generator=generator)
        with torch.no_grad():
            self.weight.mul_(mask / mask.sum(-1, keepdim=True) ** 0.5)

    def effective(self) -> Tensor:
        """``weight`` where a connection is, 0 elsewhere."""
        return self.weight * self.mask
