"""A small decoder whose attention sees a window, and whose fast weights carry what lies before it."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.memory import FastWeights, RelevanceGate

Beside = Literal["none", "hebb", "delta"]
Gating = Literal["scalar", "relevance"]


class FastWeightAttention(nn.Module):
    """Causal attention within a window, plus what a fast-weight memory holds for the same queries; x [..., T, width] -> the same.

    Equation, for each head: ``o_t = sum_(s > t - window)^t softmax(q_t . k_s / sqrt(n)) v_s + beta F_(t-1) q_t / |q_t|``; ``F`` is written with ``k_t / |k_t|``, ``v_t`` and the gate ``g_t`` (``FastWeights``): ``"scalar"``, one learned number,
    ``"relevance"``, ``RelevanceGate`` of the head's queries and keys. The outputs of all heads pass one matrix. ``gate`` and ``held``, what the memory adds [..., heads, T, n], can be observed.
    """

    def __init__(self, width: int, heads: int, window: int, beside: Beside, gating: Gating) -> None:
        super().__init__()
        self.heads, self.window, self.beside = heads, window, beside
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        if beside != "none":
            self.memory = FastWeights(width // heads, width // heads, write=beside, decay=0.98, learnable=True)
            self.beta, self.held = nn.Parameter(torch.tensor(1.0)), nn.Identity()
            self.gate = RelevanceGate(slope=2.0) if gating == "relevance" else None
            self.rate = nn.Parameter(torch.tensor(0.0)) if gating == "scalar" else None

    def gates(self, q: Tensor, k: Tensor) -> Tensor:
        """How much of each moment is written, [..., heads, T]."""
        if self.gate is not None:
            shares: Tensor = self.gate(q, k)
            return shares
        assert self.rate is not None
        return self.rate.sigmoid().expand(q.shape[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Mix what the window holds with what the fast weights hold."""
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in self.qkv(x).chunk(3, -1))
        moments = torch.arange(x.shape[-2], device=x.device)
        since = moments.unsqueeze(-1) - moments
        scores = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill((since < 0) | (since >= self.window), -torch.inf)
        mixed = scores.softmax(-1) @ v
        if self.beside != "none":
            q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
            mixed = mixed + self.held(self.beta * self.memory(q, k, v, self.gates(q, k))[0])
        y: Tensor = self.out(mixed.transpose(-3, -2).flatten(-2))
        return y


class FastWeightTransformer(nn.Module):
    """Linear embedding, pre-norm blocks of ``FastWeightAttention`` and a two-layer perceptron, a last norm, a linear read-out at every position.

    Vectors x [..., T, inputs] -> [..., T, outputs]; ``window``: positions that attention sees, the present one included; ``beside``: ``"hebb"`` or ``"delta"`` fast weights, or ``"none"``; ``gating``: what scales their writes. No position is told where it is: the window is
    causal and short, and fast weights fade. Fast weights are empty at the start of every sequence and learn through the whole of it. Parts are named ``blocks.0.attn.gate``, ``blocks.0.attn.memory``, ...

    Initial law: weights normal with variance 1 / fan_in, ``beta`` 1, biases 0 but for those of the embedding, which are as its weights (an empty moment would be zero everywhere, where the gradient of a norm explodes), drawn from ``generator``. Raises ``ValueError`` for unusable numbers and words, and for inputs of another width. Sources: schmidhuber1992, schlag2021 (fast weights in a transformer);
    synaptic-resonance2025 by our reading (the gate). Differs from the atlas's first reading in that the fast weights are not clipped to a norm of 1, which would hold a few pairs only, and are not cut from the gradient between chunks.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 32,
        heads: int = 2,
        layers: int = 2,
        window: int = 8,
        expansion: int = 2,
        beside: Beside = "hebb",
        gating: Gating = "relevance",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(inputs, outputs, width, heads, layers, window, expansion) < 1 or width % heads:
            raise ValueError(
                "A FastWeightTransformer takes numbers from 1 up and a width that is a multiple of the heads; one given is not."
            )
        if beside not in get_args(Beside) or gating not in get_args(Gating):
            raise ValueError(
                f"beside is one of {', '.join(get_args(Beside))} and gating one of {', '.join(get_args(Gating))}, {beside!r} and {gating!r} were given."
            )
        self.inputs = inputs
        self.embed = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.LayerNorm(width),
                    "attn": FastWeightAttention(width, heads, window, beside, gating),
                    "norm2": nn.LayerNorm(width),
                    "up": nn.Linear(width, expansion * width),
                    "down": nn.Linear(expansion * width, width),
                }
            )
            for _ in range(layers)
        )
        self.norm, self.readout = nn.LayerNorm(width), nn.Linear(width, outputs)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, std=part.in_features**-0.5, generator=generator)
                nn.init.zeros_(part.bias)
        nn.init.normal_(self.embed.bias, std=inputs**-0.5, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map vectors [..., T, inputs] to [..., T, outputs]."""
        if x.ndim < 2 or x.shape[-1] != self.inputs:
            raise ValueError(f"This FastWeightTransformer takes vectors [..., T, {self.inputs}], {list(x.shape)} was given; reshape them.")
        h: Tensor = self.embed(x)
        for block in self.blocks:
            h = h + block["attn"](block["norm1"](h))  # type: ignore[index]
            h = h + block["down"](F.gelu(block["up"](block["norm2"](h))))  # type: ignore[index]
        y: Tensor = self.readout(self.norm(h))
        return y
