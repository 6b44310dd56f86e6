"""Inhibitory homeostasis: a cell that fires above its target gets more inhibition from the cells that were active with it, below it less."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import RULES
from neuropil.plasticity.plastic import along_leading, check_third, current, starting_weight


@RULES.register(
    cites=("vogels2011",),
    tags=("homeostatic", "inhibitory", "rate", "three-factor"),
    example={"size": 4, "out_size": 3, "rate": 0.05, "target": 0.2},
    along={"post": 3, "modulator": 1},
    off={"rate": 0.0},
    like=lambda off: lambda x: -x @ off.weight.mT,
)
class InhibitoryHomeostasis(Cell):
    """Inhibitory synapses that hold each postsynaptic cell at a target rate.

    Equation: ``y = -w x``; ``dw_mn = modulator rate (post_m - target_m) x_n`` for connected pairs, and ``w >= 0``. Where the postsynaptic rate falls with inhibition and the presynaptic cells are
    active, the mean rate comes to rest at the target, if any inhibition can bring it there.

    ``y, s = synapse.step(x, s, post=..., modulator=...)``: presynaptic rates ``x`` [..., N] -> current ``y`` [..., M], at most 0 for rates, with the weights before the change; ``post`` [..., M]: the postsynaptic rates
    (``None``: nothing is learned); ``modulator`` [..., 1] or [..., M] (``None``: 1). ``w`` [..., M, N] is State and begins at the parameter ``weight`` [M, N]; ``target`` shared or [M], in the units of ``post``;
    ``rate`` per step; ``connected`` [M, N] of 0 and 1 (``None``: all). Raises ``ValueError`` for negative weights and inputs that do not fit. Source: vogels2011. Differs from the
    paper in rates instead of traces of spikes, and in that the current is the sum itself.
    """

    emits = "output"
    connected: Tensor

    class State(NamedTuple):
        """``w`` [..., M, N]: the weights, 0 or more."""

        w: Tensor

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        rate: Value = 0.01,
        target: Value = 0.1,
        weight: Tensor | None = None,
        connected: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size)
        self.out_size = out_size
        begun = starting_weight(weight, out_size, size, (0.0, 1.0) if weight is None else (0.0, torch.inf), generator)
        mask = torch.ones_like(begun) if connected is None else connected.to(begun.dtype)
        if mask.shape != begun.shape:
            raise ValueError(f"connected is [{out_size}, {size}] of 0 and 1, {list(mask.shape)} was given; rows are postsynaptic neurons.")
        self.connected = nn.Buffer(mask.clone())
        self.weight = nn.Parameter(begun * mask)
        self.rate = parameter(rate, name="rate")
        self.target = parameter(target, size=out_size, name="target")

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Weights at the parameter."""
        return self.State(along_leading(self.weight.to(device=device, dtype=dtype), leading))

    def step(self, x: Tensor, s: Any = None, *, post: Tensor | None = None, modulator: Tensor | None = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., M]."""
        s = self.ready(x, s)
        y = -current(s.w, x, "InhibitoryHomeostasis")
        if post is None:
            return y, s
        above = check_third(post, y, "post", y.shape[-1:], "InhibitoryHomeostasis") - self.target
        if modulator is not None:
            above = check_third(modulator, y, "modulator", (1, y.shape[-1]), "InhibitoryHomeostasis") * above
        dw = self.rate * above.unsqueeze(-1) * x.unsqueeze(-2) * self.connected
        return y, self.State((s.w + dw).clamp(min=0))
