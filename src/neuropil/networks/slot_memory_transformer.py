"""A transformer whose tokens meet in a shared working memory and a long-term store instead of attending to one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.memory import OuterProductMemory, SlotWorkingMemory, TopKAttention, drawn_linear
from neuropil.memory.outer_product_memory import Merge

Mixing = Literal["attention", "working", "both"]
DIRECT, CORRECTED = 0.7, 0.3
"""Shares of what is read from the working memory, and of the same corrected by the long-term store."""


class Mixed(NamedTuple):
    """What one layer did: ``direct`` U_w and ``corrected`` U_c [..., T, width], of the last token alone in the last layer; ``before`` and ``store``, the long-term store before and after its write, [..., C, slots, width]."""

    direct: Tensor
    corrected: Tensor
    before: Tensor
    store: Tensor


class SlotMemoryTransformer(nn.Module):
    """Linear embedding, one pre-norm block passed ``layers`` times, a last norm, a linear read-out at the last token, which asks.

    Vectors x [..., T, inputs] -> [..., outputs], in any order of the tokens before the last: none is told its place. The last layer computes that token alone. In the block ``x <- x + mix(norm1(x))``, ``x <- x + W_2 gelu(W_1 norm2(x))``; ``mixing`` is

    - ``"attention"``: ordinary self-attention, scores over the square root of a head's width, and a matrix after it;
    - ``"working"``: tokens are written into a ``SlotWorkingMemory`` of ``slots`` slots and read it: ``mix = U_w``;
    - ``"both"``: what was written is merged into an ``OuterProductMemory`` too (``merge``, ``segments``, ``strength``, ``learnable``), and with the working memory's projections for all attentions ``U_l``: tokens ask the store, top-k; ``U_c``: queries U_l ask U_w; ``mix = 0.7 U_w + 0.3 U_c``.

    Both memories begin anew with every sequence and are handed from layer to layer. ``trace(x)`` gives the outputs and a ``Mixed`` for each layer; ``stores`` in a call, [..., slots, width] for each layer, take the place of what the store would show.

    Initial law: weights of embedding, attention, perceptron and read-out uniform with variance 1 / fan-in, biases 0, norms 1; memories as theirs; drawn from ``generator``. Raises ``ValueError`` for numbers and words that are none and for inputs of another width. Source: pmi-memory2023 (paper and code).
    Differs from it in that norms come first, and memories begin anew with every sequence.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        expansion: int = 2,
        mixing: Mixing = "both",
        slots: int = 8,
        top: int | None = 5,
        segments: int = 5,
        merge: Merge = "outer",
        strength: float = 1.0,
        learnable: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(inputs, outputs, width, heads, layers, expansion) < 1 or width % heads:
            raise ValueError(
                "A SlotMemoryTransformer takes numbers from 1 up and a width that is a multiple of the heads; one given is not."
            )
        if mixing not in get_args(Mixing):
            raise ValueError(f"mixing of SlotMemoryTransformer is one of {', '.join(get_args(Mixing))}, {mixing!r} was given.")
        self.inputs, self.layers, self.mixing = inputs, layers, mixing
        self.embed = drawn_linear(inputs, width, generator)
        self.norm1, self.norm2, self.norm = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = drawn_linear(width, expansion * width, generator), drawn_linear(expansion * width, width, generator)
        self.readout = drawn_linear(width, outputs, generator)
        if mixing == "attention":
            self.attention = TopKAttention(width, heads=heads, generator=generator)
            self.out = drawn_linear(width, width, generator)
        else:
            self.working = SlotWorkingMemory(slots, width, heads=heads, top=top, generator=generator)
        if mixing == "both":
            self.long = OuterProductMemory(
                slots, width, segments=segments, merge=merge, strength=strength, learnable=learnable, generator=generator
            )

    def forward(self, x: Tensor, stores: Sequence[Tensor] | None = None) -> Tensor:
        """Map vectors [..., T, inputs] to [..., outputs]; ``stores``, one for each layer, are shown in place of what the long-term store would."""
        return self.trace(x, stores)[0]

    def trace(self, x: Tensor, stores: Sequence[Tensor] | None = None) -> tuple[Tensor, list[Mixed]]:
        """Map as ``forward`` does, and tell what each layer's memories did; nothing for layers without a long-term store."""
        if x.ndim < 2 or x.shape[-1] != self.inputs:
            raise ValueError(f"This SlotMemoryTransformer takes vectors [..., T, {self.inputs}], {list(x.shape)} was given; reshape them.")
        if stores is not None and (self.mixing != "both" or len(stores) != self.layers):
            raise ValueError(
                f"stores are one for each of {self.layers} layers of a network that mixes both memories, {len(stores)} were given to one that mixes {self.mixing}."
            )
        h: Tensor = self.embed(x)
        told: list[Mixed] = []
        working = None if self.mixing == "attention" else self.working.initial(*x.shape[:-2])
        long = self.long.initial(*x.shape[:-2]) if self.mixing == "both" else None
        for layer in range(self.layers):
            z = self.norm1(h)
            if layer == self.layers - 1:
                h = h[..., -1:, :]
            if working is None:
                asked = self.attention.ask(z[..., -h.shape[-2] :, :]) * (z.shape[-1] / self.attention.heads) ** -0.5
                h = h + self.out(self.attention.take(asked, self.attention.show(z)))
            else:
                attend = self.working.attention
                content, working = self.working.write(working, z)
                asked = attend.ask(z)
                mixed = attend.take(asked, attend.show(working.slots))
                if long is not None:
                    before, long = long, self.long.write(long, content)
                    shown = self.long.read(long) if stores is None else stores[layer]
                    recalled = attend.take(asked[..., -h.shape[-2] :, :], attend.show(shown), self.working.top)
                    corrected = attend(recalled, mixed)
                    mixed = mixed[..., -h.shape[-2] :, :]
                    told.append(Mixed(mixed, corrected, before.store, long.store))
                    mixed = DIRECT * mixed + CORRECTED * corrected
                h = h + mixed[..., -h.shape[-2] :, :]
            h = h + self.down(F.gelu(self.up(self.norm2(h))))
        y: Tensor = self.readout(self.norm(h)).squeeze(-2)
        return y, told
