"""Fast weights: a matrix that every moment of a sequence writes into, Hebbian or by the delta rule, and a gate that lets in what fits the context."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from neuropil.dynamics.parameter import Value, parameter

Write = Literal["hebb", "delta"]


class FastWeights(nn.Module):
    """A matrix from keys to values that is read and then written at every moment.

    Equation: ``y_t = F_(t-1) q_t``; ``hebb``: ``F_t = decay F_(t-1) + g_t v_t k_t^T``; ``delta``: ``F_t = decay F_(t-1) + g_t (v_t - decay F_(t-1) k_t) k_t^T``, which erases what was under the key (for keys of length 1 and ``g`` 1: wholly).

    ``y, s = memory(q, k, v, gate)``: a whole sequence at once, ``q``, ``k`` [..., T, K], ``v`` [..., T, V], ``gate`` [..., T] (``None``: 1) -> ``y`` [..., T, V], by products of T x T matrices and, for ``delta``, one triangular solve.
    ``s = memory.initial(*leading)``, ``memory.read(s, q)``, ``memory.write(s, k, v, gate)``: a moment at a time, without the axis T; both give the same. ``F`` [..., V, K] is State. ``decay`` above 0 to 1, a number;
    ``learnable`` makes it a parameter through its logit. Raises ``ValueError`` for another way to write and a decay outside. Sources: schmidhuber1992 (fast weights), schlag2021 (delta rule).
    """

    class State(NamedTuple):
        """``F`` [..., V, K]: the fast weights."""

        F: Tensor

    def __init__(self, key_size: int, value_size: int, *, write: Write = "hebb", decay: float = 1.0, learnable: bool = False) -> None:
        super().__init__()
        if write not in get_args(Write):
            raise ValueError(f"write is 'hebb' or 'delta', {write!r} was given.")
        if not 0 < decay <= (0.9999 if learnable else 1):
            raise ValueError(f"decay is above 0 and at most 1, below it where it is learned, {decay!r} was given.")
        self.key_size, self.value_size, self.rule, self.learnable = key_size, value_size, write, learnable
        self.stored = parameter(torch.tensor(decay).logit() if learnable else decay, learnable=learnable, name="decay")

    @property
    def decay(self) -> Tensor:
        """What a moment leaves of the weights."""
        return self.stored.sigmoid() if self.learnable else self.stored

    def initial(self, *leading: int) -> State:
        """Empty weights."""
        return self.State(torch.zeros(*leading, self.value_size, self.key_size, dtype=self.stored.dtype, device=self.stored.device))

    def read(self, s: State, q: Tensor) -> Tensor:
        """What lies under ``q`` [..., K]: [..., V]."""
        return (s.F @ q.unsqueeze(-1)).squeeze(-1)

    def write(self, s: State, k: Tensor, v: Tensor, gate: Tensor | None = None) -> State:
        """Let one moment pass: ``k`` [..., K], ``v`` [..., V], ``gate`` [...]."""
        kept = self.decay * s.F
        new = v - (kept @ k.unsqueeze(-1)).squeeze(-1) if self.rule == "delta" else v
        if gate is not None:
            new = gate.unsqueeze(-1) * new
        return self.State(kept + new.unsqueeze(-1) * k.unsqueeze(-2))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, gate: Tensor | None = None) -> tuple[Tensor, State]:
        """A whole sequence from empty weights."""
        if q.shape != k.shape or q.shape[-1] != self.key_size or v.shape != (*k.shape[:-1], self.value_size):
            raise ValueError(
                f"FastWeights takes q and k [..., T, {self.key_size}] and v [..., T, {self.value_size}], {list(q.shape)}, {list(k.shape)} and {list(v.shape)} were given."
            )
        moments = torch.arange(k.shape[-2], device=k.device, dtype=k.dtype)
        since = moments.unsqueeze(-1) - moments
        faded = torch.where(since > 0, torch.exp((since - 1).clamp(min=0) * self.decay.log()), 0.0)
        new = v if gate is None else gate.unsqueeze(-1) * v
        if self.rule == "delta":
            met = self.decay * faded * (k @ k.mT)
            met = met if gate is None else gate.unsqueeze(-1) * met
            new = torch.linalg.solve_triangular(
                torch.eye(len(moments), dtype=k.dtype, device=k.device) + met, new, upper=False, unitriangular=True
            )
        y = (faded * (q @ k.mT)) @ new
        left = torch.exp((len(moments) - 1 - moments) * self.decay.log())
        return y, self.State((left.unsqueeze(-1) * new).mT @ k)

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.key_size}, {self.value_size}, write={self.rule!r}"


class RelevanceGate(nn.Module):
    """How well a moment fits the context so far, as a share.

    Equation: ``g_t = sigmoid(slope cos(x_t, m_(t-1)) + bias)``, ``m_t = (1 - c) m_(t-1) + c k_t``, ``m_0 = 0``: a running mean of what came before; the first moment meets none, ``g = sigmoid(bias)``.

    ``x``, ``k`` [..., T, N] -> ``g`` [..., T]; without ``k`` moments are compared with their own mean, ``k = x``. ``slope``, ``bias`` and ``c``, in (0, 1), are learned, ``c`` through its logit. Raises ``ValueError`` for another ``c``.
    Source: synaptic-resonance2025, by our reading: the paper gives no equations.
    """

    def __init__(self, *, slope: Value = 1.0, bias: Value = 0.0, c: float = 0.1) -> None:
        super().__init__()
        if not 0 < c < 1:
            raise ValueError(f"c is the share of a moment in the mean, between 0 and 1, {c!r} was given.")
        self.slope, self.bias = (parameter(value, learnable=True, name=name) for value, name in ((slope, "slope"), (bias, "bias")))
        self.logit_c = parameter(torch.tensor(c).logit(), learnable=True, name="c")

    def context(self, k: Tensor) -> Tensor:
        """The running mean before each moment, [..., T, N]."""
        moments = torch.arange(k.shape[-2], device=k.device, dtype=k.dtype)
        since = moments.unsqueeze(-1) - moments
        share = self.logit_c.sigmoid()
        return torch.where(since > 0, share * torch.exp((since - 1).clamp(min=0) * torch.log1p(-share)), 0.0) @ k

    def forward(self, x: Tensor, k: Tensor | None = None) -> Tensor:
        """Say how well each moment fits."""
        return torch.sigmoid(self.slope * cosine_similarity(x, self.context(x if k is None else k), dim=-1) + self.bias)
