"""Long short-term memory whose weights move while a sequence passes, by gradients for what it said."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuropil.networks.lstm_controller import LSTMController


class FastLSTM(nn.Module):
    """An ``LSTMController`` that every sequence has a copy of, whose weights and biases a gradient for its last answer moves by one step of descent, through that one moment alone.

    Equation: ``a_t = (W + D_t) u_t``, ``u_t = (x_t, h_(t-1), 1)``, gates and state from ``a_t`` as there; ``learned(s, g)``: ``D <- D - step (da_t / dh_t)^T g u_t^T``, ``D_0 = 0``, with ``c_(t-1)`` and ``h_(t-1)`` held. ``g`` [..., units], the gradient of a loss for ``h_t``, is whatever one gives: true, predicted, zero.

    D is kept as its rank-one changes, one a moment: ``D_t u = - step sum_s (u_s . u) b_s``, exact and cheaper than the matrix while moments are fewer than units. Gradients of the slow weights do not flow through D, as when an optimiser changes weights in place.
    x [..., size] -> h [..., units]. ``change(s)`` is ``|D| / |(W, bias)|`` in Frobenius norms. Raises ``ValueError`` for sizes below 1. Source: fast-slow-synthetic-grad-memory2020 (our reading).
    """

    class State(NamedTuple):
        """``h``, ``c`` and ``before`` (c of the moment before) [..., units]; ``heard`` u [..., K] and ``gates`` (f, i, g, o) [..., 4 units] of the last moment; ``inputs`` [..., s, K] and ``blames`` [..., s, 4 units], times -step: the changes so far."""

        h: Tensor
        c: Tensor
        before: Tensor
        heard: Tensor
        gates: Tensor
        inputs: Tensor
        blames: Tensor

    def __init__(self, size: int, units: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.slow = LSTMController(size, units, generator=generator)
        self.size, self.units = size, units

    def initial(self, *leading: int) -> State:
        """At rest, with weights that have not moved."""
        zero = self.slow.bias.new_zeros
        units, width = self.units, self.size + self.units + 1
        rest = zero(*leading, units)
        return self.State(
            rest, rest, rest, zero(*leading, width), zero(*leading, 4 * units), zero(*leading, 0, width), zero(*leading, 0, 4 * units)
        )

    def step(self, x: Tensor, s: State) -> tuple[Tensor, State]:
        """One moment."""
        u = torch.cat((x, s.h, torch.ones_like(x[..., :1])), -1)
        a = u[..., :-1] @ self.slow.weight.mT + self.slow.bias
        if s.blames.shape[-2]:
            a = a + ((s.inputs @ u.unsqueeze(-1)).mT @ s.blames).squeeze(-2)
        f, i, g, o = a.chunk(4, -1)
        f, i, g, o = f.sigmoid(), i.sigmoid(), g.tanh(), o.sigmoid()
        c = f * s.c + i * g
        h = o * c.tanh()
        return h, s._replace(h=h, c=c, before=s.c, heard=u, gates=torch.cat((f, i, g, o), -1))

    @torch.no_grad()
    def blamed(self, s: State, gradient: Tensor) -> Tensor:
        """``(da_t / dh_t)^T g``: what a gradient for the last answer [..., units] is for what the gates heard [..., 4 units]."""
        f, i, g, o = s.gates.chunk(4, -1)
        t = s.c.tanh()
        kept = gradient * o * (1 - t * t)
        return torch.cat((kept * s.before * f * (1 - f), kept * g * i * (1 - i), kept * i * (1 - g * g), gradient * t * o * (1 - o)), -1)

    def learned(self, s: State, gradient: Tensor, step: float) -> State:
        """Move the weights of every sequence by one step against ``gradient``."""
        blame = -step * self.blamed(s, gradient.detach())
        return s._replace(
            inputs=torch.cat((s.inputs, s.heard.detach().unsqueeze(-2)), -2), blames=torch.cat((s.blames, blame.unsqueeze(-2)), -2)
        )

    @torch.no_grad()
    def change(self, s: State) -> Tensor:
        """How far the weights have moved, as a share of their size, [...]."""
        product = (s.inputs @ s.inputs.mT) * (s.blames @ s.blames.mT)
        size = (self.slow.weight.square().sum() + self.slow.bias.square().sum()).sqrt()
        moved: Tensor = product.sum((-2, -1)).clamp(min=0).sqrt() / size
        return moved
