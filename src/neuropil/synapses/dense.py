"""All-to-all connections."""

import torch
from torch import Tensor

from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.synapse import Synapse, normal


@SYNAPSES.register(cites=("he2015",), tags=("stateless",), example={"size": 4, "out_size": 3})
class Dense(Synapse):
    """Every presynaptic neuron to every postsynaptic one.

    Equation: ``y = W x``, ``W ~ Normal(0, gain^2 / N)``: as many active inputs give currents as large whatever ``N``.

    ``x`` [..., N] -> ``y`` [..., M]; ``weight`` [M, N]; ``generator`` makes the start reproducible (torch's global one unless given).
    Raises as ``Synapse``. Source: he2015, whose gain for rectified inputs is ``2 ** 0.5``. Differs from ``nn.Linear`` in its start and in
    having no bias.
    """

    def __init__(self, size: int, out_size: int, *, gain: float = 1.0, generator: torch.Generator | None = None) -> None:
        super().__init__(size, out_size)
        self.weight = normal(out_size, size, spread=gain / size**0.5, generator=generator)

    def effective(self) -> Tensor:
        """``weight``."""
        return self.weight
