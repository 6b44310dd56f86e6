"""SoftHebb: Hebbian learning under soft competition, in which every neuron learns by its share of the win."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import RULES
from neuropil.plasticity.plastic import along_leading, check_third, current, starting_weight


def compete(u: Tensor, temperature: float) -> Tensor:
    """Shares of the win along the last axis: ``softmax(u / temperature)``, at temperature 0 all for the first of the strongest."""
    if not temperature >= 0:
        raise ValueError(f"The temperature of a competition is 0 (hard) or more, {temperature!r} was given.")
    if temperature == 0:
        return nn.functional.one_hot(u.argmax(-1), u.shape[-1]).to(u.dtype)
    return (u / temperature).softmax(-1)


def soft_hebb(w: Tensor, x: Tensor, *, temperature: float) -> Tensor:
    """The mean change ``mean_b a_bm (x_b - u_bm w_m)`` [M, N] of weights ``w`` [M, N] over samples ``x`` [B, N], ``u = x w^T``, ``a = compete(u, temperature)``.

    Source: journe2023. Raises ``ValueError`` for a negative temperature.
    """
    u = x @ w.mT
    a = compete(u, temperature)
    return (a.mT @ x - (a * u).sum(0).unsqueeze(-1) * w) / len(x)


def turn(w: Tensor, dw: Tensor, rate: float) -> Tensor:
    """Move weights ``w`` [M, N] by ``rate |w_m| dw_m`` and give every row its length again; at rate 0 they are ``w`` to the bit."""
    length = w.norm(dim=-1, keepdim=True)
    moved = w + rate * length * dw
    return torch.where(length > 0, moved * (length / moved.norm(dim=-1, keepdim=True)), w)


@RULES.register(
    cites=("journe2023",),
    tags=("hebbian", "competitive", "rate", "three-factor"),
    example={"size": 4, "out_size": 3, "rate": 0.05},
    along={"modulator": 1},
    off={"rate": 0.0},
    like=lambda off: lambda x: x @ off.weight.mT,
)
class SoftHebb(Cell):
    """Linear neurons that share each win by the softmax of their activity, and learn by their share.

    Equation: ``u = w x``; ``a = softmax(u / temperature)``, at temperature 0 one-hot; ``dw_m = modulator_m rate a_m (x - u_m w_m)``. A neuron that wins a
    cluster of inputs comes to the direction of its mean, at length 1, where the activity of the winners is above 0.

    ``u, s = synapse.step(x, s, modulator=...)``: ``x`` [..., N] -> ``u`` [..., M] with the weights before the change (``u``, not ``a``, is passed on);
    ``modulator`` [..., 1] or [..., M] (``None``: 1). ``w`` [..., M, N] is State and begins at the parameter ``weight`` [M, N]; ``rate`` per step. For
    batches on shared weights take ``soft_hebb``. Raises ``ValueError`` for a negative temperature and inputs that do not fit. Source: journe2023.
    Differs from the paper in that the rate does not fall with the length of the weights.
    """

    emits = "output"

    class State(NamedTuple):
        """``w`` [..., M, N]: the weights."""

        w: Tensor

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        rate: Value = 0.01,
        temperature: float = 1.0,
        weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size)
        compete(torch.zeros(out_size), temperature)
        self.out_size, self.temperature = out_size, temperature
        self.weight = nn.Parameter(starting_weight(weight, out_size, size, None, generator))
        self.rate = parameter(rate, name="rate")

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Weights at the parameter."""
        return self.State(along_leading(self.weight.to(device=device, dtype=dtype), leading))

    def step(self, x: Tensor, s: Any = None, *, modulator: Tensor | None = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``u`` [..., M]."""
        s = self.ready(x, s)
        u = current(s.w, x, "SoftHebb")
        dw = self.rate * compete(u, self.temperature).unsqueeze(-1) * (x.unsqueeze(-2) - u.unsqueeze(-1) * s.w)
        if modulator is not None:
            dw = check_third(modulator, u, "modulator", (1, u.shape[-1]), "SoftHebb").unsqueeze(-1) * dw
        return u, self.State(s.w + dw)
