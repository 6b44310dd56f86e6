"""Dale's principle: a neuron excites all its targets or inhibits all of them."""

import torch
from torch import Tensor, nn

from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.synapse import Synapse, normal


@SYNAPSES.register(cites=("song2016",), tags=("stateless", "dale"), example={"size": 4, "out_size": 3, "excitatory": 0.5})
class SignConstrained(Synapse):
    """Weights whose sign belongs to the presynaptic neuron and survives any gradient step.

    Equation: ``y = W x``, ``W_ij = sign_j |weight_ij|``. The start balances: with ``E`` excitatory and ``I`` inhibitory inputs of equal
    activity the mean current is 0, and its variance over neurons is ``gain^2`` times the mean square of ``x``.

    ``x`` [..., N] -> ``y`` [..., M]; ``weight`` [M, N] unconstrained; ``excitatory``: share of the N neurons, the first ones; or ``signs`` [N] of
    +1 and -1. Raises ``ValueError`` for a share outside [0, 1] and other signs, else as ``Synapse``. Source: song2016. Differs from the
    paper in the magnitude in place of rectification: a synapse that has shrunk to nothing can grow again.
    """

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        excitatory: float = 0.8,
        signs: Tensor | None = None,
        gain: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size, out_size)
        if not 0 <= excitatory <= 1:
            raise ValueError(f"excitatory is a share from 0 to 1, {excitatory!r} was given; cortex has about 0.8.")
        if signs is None:
            signs = torch.where(torch.arange(size) < round(excitatory * size), 1.0, -1.0)
        if signs.shape != (size,) or not (signs.abs() == 1).all():
            raise ValueError(f"signs is [{size}] of +1 and -1, shape {list(signs.shape)} was given; one sign a presynaptic neuron.")
        self.signs = nn.Buffer(signs.to(torch.get_default_dtype()).clone())
        self.weight = normal(out_size, size, spread=1.0, generator=generator)
        share = 1 / torch.stack([(self.signs == sign).sum() for sign in self.signs]).to(self.weight.dtype)
        with torch.no_grad():
            self.weight.abs_().mul_(gain * share / share.square().sum().sqrt())

    def effective(self) -> Tensor:
        """``sign_j |weight_ij|``."""
        return self.signs * self.weight.abs()
