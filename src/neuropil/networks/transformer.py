"""A small pre-norm transformer, causal (decoder) or not (encoder), over tokens or vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _empty(fan_in: int, fan_out: int) -> nn.Linear:
    return nn.Linear(fan_in, fan_out, device="meta").to_empty(device="cpu")


class Attention(nn.Module):
    """Multi-head attention: ``softmax(Q K^T / sqrt(width / heads)) V``, causal or not; x [B, T, width] -> [B, T, width]. Source: vaswani2017."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = _empty(width, 3 * width)
        self.out = _empty(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Let every position attend to every other, or to itself and those before it."""
        batch, length, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return y


class Block(nn.Module):
    """``x <- x + attn(norm1(x))``, ``x <- x + mlp(norm2(x))`` with ``mlp(x) = W_2 gelu(W_1 x)``; x [B, T, width]. Source: xiong2020."""

    def __init__(self, width: int, heads: int, expansion: int, causal: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, causal)
        self.norm2 = nn.LayerNorm(width)
        self.up = _empty(width, expansion * width)
        self.down = _empty(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Add what attention and the two-layer perceptron make of x."""
        x = x + self.attn(self.norm1(x))
        y: Tensor = x + self.down(F.gelu(self.up(self.norm2(x))))
        return y


class Transformer(nn.Module):
    """Embedding plus learned positions, ``layers`` pre-norm blocks, a last norm, a linear read-out at every position.

    Give ``vocabulary`` for tokens i64 [B, T], or ``inputs`` for vectors [B, T, inputs]; out come [B, T, outputs]. ``causal=True`` is a
    decoder: no position sees a later one. T is at most ``context``. Parts are named ``blocks.0.attn``, ``blocks.0.up``, ...

    Initial law (radford2019): weights and positions normal with standard deviation 0.02, those that write into the residual stream
    divided by ``sqrt(2 layers)``, biases 0, norms 1, drawn from ``generator`` (None: torch's own). Differs from the paper in that the
    read-out is not tied to the embedding. Raises ``ValueError`` for unusable numbers and for inputs of another shape.
    """

    def __init__(
        self,
        outputs: int,
        *,
        vocabulary: int | None = None,
        inputs: int | None = None,
        width: int = 64,
        heads: int = 4,
        layers: int = 2,
        context: int = 128,
        expansion: int = 4,
        causal: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(outputs, *(n for n in (vocabulary, inputs) if n is not None), width, heads, layers, context, expansion) < 1:
            raise ValueError("A Transformer needs outputs, width, heads, layers, context and expansion from 1 up; one below was given.")
        if width % heads:
            raise ValueError(
                f"The width must be a multiple of the heads, {width} and {heads} were given; choose for example {heads * 16} and {heads}."
            )
        self.vocabulary, self.inputs, self.context = vocabulary, inputs, context
        self.embed: nn.Module
        if vocabulary is not None and inputs is None:
            self.embed = nn.Embedding(vocabulary, width, device="meta").to_empty(device="cpu")
        elif inputs is not None and vocabulary is None:
            self.embed = _empty(inputs, width)
        else:
            raise ValueError("A Transformer reads tokens or vectors: give vocabulary= or inputs=, exactly one of them.")
        self.positions = nn.Parameter(torch.empty(context, width))
        self.blocks = nn.ModuleList(Block(width, heads, expansion, causal) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.readout = _empty(width, outputs)
        for name, parameter in self.named_parameters():
            if "norm" in name:
                continue
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                into_stream = name.endswith(("attn.out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * layers) ** 0.5 if into_stream else 0.02, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, T] or vectors [B, T, inputs] to [B, T, outputs]."""
        if self.vocabulary is not None and (x.ndim != 2 or x.is_floating_point()):
            raise ValueError(f"This Transformer takes tokens [B, T] as whole numbers, {x.dtype} {list(x.shape)} was given.")
        if self.inputs is not None and (x.ndim != 3 or x.shape[-1] != self.inputs):
            raise ValueError(f"This Transformer takes vectors [B, T, {self.inputs}], {list(x.shape)} was given; reshape them.")
        length = x.shape[1]
        if not 0 < length <= self.context:
            raise ValueError(
                f"This Transformer takes 1 to {self.context} positions, {length} were given; cut them or give a longer context=."
            )
        h: Tensor = self.embed(x) + self.positions[:length]
        for block in self.blocks:
            h = block(h)
        y: Tensor = self.readout(self.norm(h))
        return y
