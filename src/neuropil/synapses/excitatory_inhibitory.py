"""Sparse excitatory and inhibitory connections whose balance is a number, for all cells or for each."""

import torch
from torch import Tensor, nn

from neuropil.dynamics.parameter import Value, parameter
from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.synapse import Synapse, normal


@SYNAPSES.register(
    cites=("vreeswijk1996", "song2016"),
    tags=("stateless", "dale", "sparse"),
    example={"size": 4, "out_size": 3, "excitatory": 0.5, "inputs": 3},
)
class ExcitatoryInhibitory(Synapse):
    """Connections of a sparse random network of excitatory and inhibitory cells, in balance or out of it.

    Equation: ``y = W x``; ``W_ij = |weight_ij|`` from excitatory ``j``, ``-inhibition_i |weight_ij|`` from inhibitory ``j``, 0 where ``connected_ij`` is 0. Every cell
    has the same number of excitatory and of inhibitory synapses; its excitatory weights sum to ``gain`` at the start, its inhibitory ones too: ``inhibition = 1`` is
    balanced for inputs of equal rates, more is inhibition-dominated. Weights begin with a spread of a half of their mean (a folded normal).

    ``x`` [..., N] -> ``y`` [..., M]; ``weight``, ``connected`` [M, N]; ``inhibition`` shared, or [M] for one number a cell (a parameter); ``excitatory``: share of the N cells, the first
    ones; ``inputs``: synapses a cell, shared out likewise, one of either kind at least. Raises ``ValueError`` for a share outside (0, 1), fewer than 2 inputs or more than there are, and a ``gain`` not above 0; else as
    ``Synapse``. Sources: vreeswijk1996 (balance); song2016 (signs). Differs from ``SignConstrained`` in being sparse and in the number for balance.
    """

    signs: Tensor
    connected: Tensor

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        inputs: int,
        excitatory: float = 0.8,
        gain: float = 1.0,
        inhibition: Value = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size, out_size)
        kinds = round(excitatory * size), size - round(excitatory * size)
        if not 0 < excitatory < 1 or 0 in kinds:
            raise ValueError(
                f"excitatory is a share of the {size} cells that leaves some of either kind, {excitatory!r} was given; cortex has about 0.8."
            )
        if isinstance(inputs, bool) or not isinstance(inputs, int) or not 2 <= inputs <= size:
            raise ValueError(f"inputs is a number of synapses a cell from 2 to {size}, {inputs!r} was given.")
        if not gain > 0:
            raise ValueError(f"gain is what the excitatory weights of a cell sum to, above 0, {gain!r} was given.")
        excited = min(max(round(excitatory * inputs), 1, inputs - kinds[1]), inputs - 1, kinds[0])
        order = [torch.rand(out_size, n, generator=generator).argsort(1).argsort(1) for n in kinds]
        chosen = torch.cat([rank < n for rank, n in zip(order, (excited, inputs - excited), strict=True)], 1)
        self.signs = nn.Buffer(torch.where(torch.arange(size) < kinds[0], 1.0, -1.0))
        self.connected = nn.Buffer(chosen.to(torch.get_default_dtype()))
        self.weight = normal(out_size, size, spread=0.5, generator=generator)
        self.inhibition = parameter(inhibition, size=out_size, learnable=True, name="inhibition")
        with torch.no_grad():
            self.weight.add_(1).abs_()
            for kind in (self.signs > 0, self.signs < 0):
                part = self.weight * self.connected * kind
                self.weight.copy_(torch.where(kind, gain * self.weight / part.sum(1, keepdim=True), self.weight))

    @property
    def inhibitory(self) -> Tensor:
        """Which presynaptic cells inhibit, [N] of bool."""
        return self.signs < 0

    def effective(self) -> Tensor:
        """``W`` [M, N]."""
        scale = torch.where(self.inhibitory, -self.inhibition.unsqueeze(-1), 1.0)
        return scale * self.connected * self.weight.abs()
