"""A decoder of attention alone (no perceptrons) with rotary positions, every step of which can be seen and held."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TRUNCATION = 0.87962566103423978
"""Standard deviation of a standard normal cut at two standard deviations."""


class ReplicaLinear(nn.Module):
    """``y = x W + b`` with a weight [in, out] or, for R networks side by side, [R, in, out]; x [..., n, T, in] -> [..., n, T, out]."""

    def __init__(self, fan_in: int, fan_out: int, replicas: tuple[int, ...], bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*replicas, fan_in, fan_out))
        self.bias = nn.Parameter(torch.zeros(*replicas, 1, fan_out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map the last axis."""
        flat = x.flatten(-3, -2)
        multiply = torch.addmm if flat.ndim == 2 else torch.baddbmm
        y = flat @ self.weight if self.bias is None else multiply(self.bias, flat, self.weight)
        out: Tensor = y.unflatten(-2, x.shape[-3:-1])
        return out


class ReplicaNorm(nn.Module):
    """Layer norm with scale and shift [width] or [R, 1, 1, width]; x [..., n, T, width] -> the same."""

    def __init__(self, width: int, replicas: tuple[int, ...]) -> None:
        super().__init__()
        shape = (*replicas, 1, 1, width) if replicas else (width,)
        self.weight, self.bias = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        return torch.addcmul(self.bias, F.layer_norm(x, x.shape[-1:]), self.weight)


def rotate(x: Tensor, base: float = 10_000.0) -> Tensor:
    """Turn entries (2i, 2i+1) of the vector at position t by the angle ``t base^(-2i/n)``; x [..., T, n]. Source: su2021.

    So the product of a turned query and a turned key depends on how far apart they are and not on where. Raises ``ValueError`` for odd n.
    """
    length, n = x.shape[-2:]
    if n % 2:
        raise ValueError(f"Rotary positions turn pairs of entries, a head of width {n} was given; give an even width.")
    rate = base ** (-torch.arange(0, n, 2, dtype=torch.float64) / n)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate
    turn = torch.polar(torch.ones_like(angle), angle).to(x.device, x.dtype.to_complex())
    turned = torch.view_as_complex(x.unflatten(-1, (n // 2, 2))) * turn
    return torch.view_as_real(turned).flatten(-2)


class Scores(nn.Module):
    """``q_i . k_j / sqrt(n)`` for j up to i, minus infinity beyond; q, k [..., heads, T, n] -> [..., heads, T, T]."""

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        """Compare every query with the keys up to it."""
        scores: Tensor = q.mul(q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        later = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool, device=q.device).triu(1)
        masked: Tensor = scores.masked_fill(later, -math.inf)
        return masked


class Pattern(nn.Module):
    """Softmax over keys: the attention pattern [..., heads, T (query), T (key)]."""

    def forward(self, scores: Tensor) -> Tensor:
        """Turn scores into shares."""
        return scores.softmax(dim=-1)


class Mix(nn.Module):
    """What every head reads: values weighted by its pattern; [..., heads, T, T], [..., heads, T, n] -> [..., heads, T, n]."""

    def forward(self, pattern: Tensor, v: Tensor) -> Tensor:
        """Average the values."""
        mixed: Tensor = pattern @ v
        return mixed


class AttentionLayer(nn.Module):
    """Pre-norm multi-head causal attention with rotary positions, opened up into named steps; x [..., n, T, width] -> what it adds to x.

    Steps: ``pattern_input`` and ``value_input`` (both x, unless held), ``query``, ``key``, ``value`` [..., n, T, heads * head_width],
    ``scores`` and ``pattern`` [..., n, heads, T, T], ``mix`` [..., n, heads, T, head_width], ``out``.
    """

    def __init__(self, width: int, heads: int, head_width: int, base: float, replicas: tuple[int, ...]) -> None:
        super().__init__()
        self.heads, self.head_width, self.base = heads, head_width, base
        self.pattern_input, self.value_input = nn.Identity(), nn.Identity()
        self.norm = ReplicaNorm(width, replicas)
        self.query, self.key, self.value = (ReplicaLinear(width, heads * head_width, replicas, bias=False) for _ in range(3))
        self.scores, self.pattern, self.mix = Scores(), Pattern(), Mix()
        self.out = ReplicaLinear(heads * head_width, width, replicas, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend, head by head."""
        seen, read = self.pattern_input(x), self.value_input(x)
        normed = self.norm(seen)
        values = self.value(normed if read is seen else self.norm(read))
        q, k = rotate(self._split(self.query(normed)), self.base), rotate(self._split(self.key(normed)), self.base)
        mixed = self.mix(self.pattern(self.scores(q, k)), self._split(values))
        y: Tensor = self.out(mixed.transpose(-3, -2).flatten(-2))
        return y

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.heads, self.head_width)).transpose(-3, -2).contiguous()
        return heads


class AttentionOnlyTransformer(nn.Module):
    """Linear embedding, layers of causal attention added to the stream one after another, a last norm, a linear read-out at every position.

    Equation: ``x <- x + sum_h softmax(mask(R q_h . R k_h / sqrt(n))) v_h O_h`` with q, k, v linear in ``norm(x)`` and R rotary positions.
    Shapes: x [n, T, inputs] -> [n, T, outputs]. ``heads`` gives the number of heads of each layer, all of width ``head_width``. With
    ``replicas=R`` it is R independent networks side by side, x [R, n, T, inputs] -> [R, n, T, outputs], and every parameter has that axis in front.

    Every step has a name for ``neuropil.observe``: ``layers.0.pattern``, ``layers.1.mix[..., 3, :, :]`` (head 3), ``layers.1.pattern_input``
    (what queries and keys are made of, apart from the values), see ``AttentionLayer``. Silencing a head's ``mix`` is ablating it, and a layer
    with one head is a layer of several whose others are ablated.

    Initial law: weights truncated normal with variance 1 / fan-in, biases 0, norms 1. ``generator``: one, or for replicas one each, which
    draws for its replica what it would draw for a network alone. Source: singh2024 (architecture, initial law), elhage2021 (attention-only
    networks), su2021 (rotary positions). Differs from singh2024 in that exemplars and labels share one embedding, a matrix over both.
    Raises ``ValueError`` for unusable numbers, for generators that are not one a replica, and for inputs of another shape.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 64,
        heads: Sequence[int] = (8, 8),
        head_width: int = 8,
        base: float = 10_000.0,
        replicas: int | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
    ) -> None:
        super().__init__()
        if min(inputs, outputs, width, head_width, *heads, 1 if replicas is None else replicas) < 1 or not heads:
            raise ValueError(
                "An AttentionOnlyTransformer needs inputs, outputs, width, head_width, replicas and heads of every layer from 1 up; one below was given."
            )
        if head_width % 2:
            raise ValueError(f"Rotary positions turn pairs of entries, head_width={head_width} was given; give an even width.")
        self.inputs, self.replicas = inputs, replicas
        lead = () if replicas is None else (replicas,)
        self.embed = ReplicaLinear(inputs, width, lead, bias=True)
        self.layers = nn.ModuleList(AttentionLayer(width, n, head_width, base, lead) for n in heads)
        self.norm = ReplicaNorm(width, lead)
        self.readout = ReplicaLinear(width, outputs, lead, bias=True)
        generators = list(generator) if isinstance(generator, Sequence) else [generator]
        if len(generators) != (replicas or 1):
            raise ValueError(
                f"{replicas or 1} networks draw from a generator each, {len(generators)} were given; give as many, or replicas={len(generators)}."
            )
        for part in self.modules():
            if isinstance(part, ReplicaLinear):
                std = part.weight.shape[-2] ** -0.5 / TRUNCATION
                for weight, own in zip(part.weight.data if lead else [part.weight.data], generators, strict=True):
                    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=own)

    def forward(self, x: Tensor, last: bool = False) -> Tensor:
        """Map sequences of vectors [..., n, T, inputs] to [..., n, T, outputs], or with ``last`` to the last position's [..., n, 1, outputs]."""
        wanted = ([] if self.replicas is None else [self.replicas]) + ["n", "T", self.inputs]
        if x.ndim != len(wanted) or x.shape[-1] != self.inputs or (self.replicas is not None and x.shape[0] != self.replicas):
            raise ValueError(f"This AttentionOnlyTransformer takes vectors {wanted}, {list(x.shape)} was given; reshape them.")
        h: Tensor = self.embed(x)
        for layer in self.layers:
            h = h + layer(h)
        y: Tensor = self.readout(self.norm(h[..., -1:, :] if last else h))
        return y
