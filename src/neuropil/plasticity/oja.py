"""Oja's rule: Hebbian learning that keeps its weights bounded and finds the first principal component."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import RULES
from neuropil.plasticity.plastic import along_leading, check_third, current, starting_weight


@RULES.register(
    cites=("oja1982",),
    tags=("hebbian", "rate", "three-factor"),
    example={"size": 4, "out_size": 3, "rate": 0.05},
    along={"post": 3, "modulator": 1},
    off={"rate": 0.0},
    like=lambda off: lambda x: x @ off.weight.mT,
)
class Oja(Cell):
    """Linear neurons with Oja's rule.

    Equation: ``y = w x``; ``dw_m = modulator rate a_m (x - a_m w_m)`` with activity ``a = post`` where given, else ``y``. For ``rate`` well
    below ``1 / |x|^2`` and inputs of mean 0, each neuron's ``w_m`` turns to the first principal component of ``x``, with length 1.

    ``y, s = synapse.step(x, s, post=..., modulator=...)``: ``x`` [..., N] -> ``y`` [..., M] with the weights before the change; ``post`` [..., M];
    ``modulator`` [..., 1] or [..., M] (``None``: 1). ``w`` [..., M, N] is State and begins at the parameter ``weight`` [M, N]; ``rate`` per step.
    Raises ``ValueError`` for inputs that do not fit. Source: oja1982. The M neurons do not compete: all find the same component.
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
        weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size)
        self.out_size = out_size
        self.weight = nn.Parameter(starting_weight(weight, out_size, size, None, generator))
        self.rate = parameter(rate, name="rate")

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Weights at the parameter."""
        return self.State(along_leading(self.weight.to(device=device, dtype=dtype), leading))

    def step(self, x: Tensor, s: Any = None, *, post: Tensor | None = None, modulator: Tensor | None = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., M]."""
        s = self.ready(x, s)
        y = current(s.w, x, "Oja")
        a = (y if post is None else check_third(post, y, "post", y.shape[-1:], "Oja")).unsqueeze(-1)
        dw = self.rate * a * (x.unsqueeze(-2) - a * s.w)
        if modulator is not None:
            dw = check_third(modulator, y, "modulator", (1, y.shape[-1]), "Oja").unsqueeze(-1) * dw
        return y, self.State(s.w + dw)
