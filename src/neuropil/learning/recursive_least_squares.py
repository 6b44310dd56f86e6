"""Recursive least squares: the linear readout that fits all it has seen, the older the less, kept up to date sample by sample."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell
from neuropil.dynamics.registry import RULES
from neuropil.plasticity.plastic import along_leading, check_third, current, starting_weight


@RULES.register(
    cites=("haykin2014", "sussillo2009"),
    tags=("supervised", "second-order", "rate"),
    example={"size": 4, "out_size": 3, "forgetting": 0.9},
    along={"target": 3},
    off={"uncertainty": 0.0},
    like=lambda off: lambda x: x @ off.weight.mT,
)
class RecursiveLeastSquares(Cell):
    """A linear readout by recursive least squares with exponential forgetting, as in FORCE learning.

    Equation, one sample ``(x, target)`` after another: ``P <- P / forgetting``; ``k = P x / (1 + x' P x)``; ``w <- w + (target - w x) k'``; ``P <- P - k x' P``, from ``P = uncertainty I``; then the same without forgetting for the
    sample ``(sqrt(N (1 - forgetting) / uncertainty) e_i, 0)``, ``i`` going round. So ``w`` minimises, over the samples so far, ``sum_t forgetting^age |target_t - w x_t|^2 + forgetting^T |w - w_0|^2 / uncertainty`` and what the second samples add, a penalty of about
    ``|w|^2 / uncertainty`` that does not fade and keeps ``P`` finite where some directions of ``x`` are not seen for long. With ``forgetting = 1`` it is ridge regression with penalty ``1 / uncertainty``.

    ``y, s = readout.step(x, s, target=...)``: ``x`` [..., N] -> ``y`` [..., M] with the weights before the change; ``target`` [..., M] (``None``: nothing is learned). ``w`` [..., M, N] and ``P`` [..., N, N] are State;
    ``w`` begins at the parameter ``weight`` [M, N], 0 unless given. float64 is best. Raises ``ValueError`` for ``forgetting`` outside (0, 1], a negative ``uncertainty`` and inputs that do not fit. Sources: haykin2014
    (equation), sussillo2009 (FORCE), gay1996 (second samples).
    """

    emits = "output"

    class State(NamedTuple):
        """``w`` [..., M, N]: the weights; ``P`` [..., N, N]: how unsure they are, the inverse of the weighted correlations of ``x``; ``turn`` [..., 1]: the weight that is drawn to 0 next."""

        w: Tensor
        P: Tensor
        turn: Tensor

    def __init__(
        self, size: int, out_size: int, *, forgetting: float = 1.0, uncertainty: float = 1.0, weight: Tensor | None = None
    ) -> None:
        super().__init__(size)
        if not 0 < forgetting <= 1:
            raise ValueError(f"forgetting is a share above 0 and at most 1, {forgetting!r} was given; 0.999 remembers about 1,000 samples.")
        if not uncertainty >= 0:
            raise ValueError(f"uncertainty is the variance of a weight at the start, 0 or more, {uncertainty!r} was given.")
        self.out_size, self.forgetting, self.uncertainty = out_size, forgetting, uncertainty
        begun = torch.zeros(out_size, size) if weight is None else weight
        self.weight = nn.Parameter(starting_weight(begun, out_size, size, None, None))

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Weights at the parameter, all equally unsure."""
        w = along_leading(self.weight.to(device=device, dtype=dtype), leading)
        P = along_leading(self.uncertainty * torch.eye(w.shape[-1], dtype=w.dtype, device=w.device), leading)
        return self.State(w, P, torch.zeros_like(w[..., 0, :1]))

    def step(self, x: Tensor, s: Any = None, *, target: Tensor | None = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., M]."""
        s = self.ready(x, s)
        y = current(s.w, x, "RecursiveLeastSquares")
        if target is None:
            return y, s
        error = check_third(target, y, "target", y.shape[-1:], "RecursiveLeastSquares") - y
        w, P = _learn(s.w, s.P / self.forgetting, x, error)
        if self.forgetting < 1 and self.uncertainty > 0:
            size = x.shape[-1]
            pull = (size * (1 - self.forgetting) / self.uncertainty) ** 0.5 * torch.eye(size, dtype=x.dtype, device=x.device)[
                s.turn[..., 0].long()
            ]
            w, P = _learn(w, P, pull, -current(w, pull, "RecursiveLeastSquares"))
        return y, self.State(w, P, (s.turn + 1) % x.shape[-1])


def _learn(w: Tensor, P: Tensor, x: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    """Take in one sample; ``P`` stays exactly symmetric."""
    seen = (P @ x.unsqueeze(-1)).squeeze(-1)
    surprise = 1 + (x * seen).sum(-1, keepdim=True)
    half = seen / surprise.sqrt()
    return w + error.unsqueeze(-1) * (seen / surprise).unsqueeze(-2), P - half.unsqueeze(-1) * half.unsqueeze(-2)
