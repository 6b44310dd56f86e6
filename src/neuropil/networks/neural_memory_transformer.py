"""One layer of attention within a window beside a memory that is written at test time; a gate mixes both, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.memory import NeuralMemory, drawn_linear

SMALL = 1e-2
"""Added to the mean square of what is read before its root is divided by: an unwritten memory stays silent."""


class CausalConv(nn.Module):
    """Each channel's own filter over the last moments: ``y_t = sum_j w_j x_(t - j)``, nothing before the first; x [..., T, channels] -> the same. ``weight`` [taps, channels], at first 1 for the present and 0 for the past."""

    def __init__(self, channels: int, taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.cat((torch.ones(1, channels), torch.zeros(taps - 1, channels))))

    def forward(self, x: Tensor) -> Tensor:
        """Filter all channels."""
        taps, length = self.weight.shape[0], x.shape[-2]
        padded = F.pad(x, (0, 0, taps - 1, 0))
        y = x * self.weight[0]
        for back in range(1, taps):
            y = y + padded[..., taps - 1 - back : taps - 1 - back + length, :] * self.weight[back]
        return y


class Remembered(NamedTuple):
    """How a sequence was remembered: rates ``theta``, ``eta``, ``alpha`` and the ``gate``'s mean over channels, [..., T]; the memory when it ``began`` and when it ``ended``. T counts persistent tokens, which come first."""

    theta: Tensor
    eta: Tensor
    alpha: Tensor
    gate: Tensor
    began: NeuralMemory.State
    ended: NeuralMemory.State


class NeuralMemoryTransformer(nn.Module):
    """Linear embedding, persistent tokens before the sequence, one pre-norm layer that gates between attention within a window and a ``NeuralMemory``, a two-layer perceptron, a last norm, a linear read-out.

    Vectors x [..., T, inputs] -> [..., T, outputs]. In the layer, with ``z = norm1(x)``: ``x <- x + W_o ((1 - g) a + g W_m r)``, ``x <- x + W_2 gelu(W_1 norm2(x))``; ``a``: causal attention over ``window`` moments, the present one included, and the ``persistent`` learned tokens; ``g = sigmoid(W_g z)``;
    ``r`` is what the memory answers, over its root mean square. ``q``, ``k``, ``v`` of the memory are ``silu`` of projections that pass a causal convolution of ``taps`` moments, each of length 1; those of attention pass one too. Rates, ``theta = highest sigmoid(.)``, ``eta = sigmoid(.)``, ``alpha = sigmoid(.)``, are linear in z, one of each a token.
    No position is told where it is. ``hidden=()`` makes the memory a matrix: with its momentum and forgetting, a gated delta rule. ``window=None`` sees everything; ``remembers=False`` leaves the memory out (``g = 0``); ``momentum=False`` holds ``eta`` at 0.
    ``write`` in a call scales theta: 0 reads a memory that was never written. ``trace(x)`` gives ``Remembered`` too.

    Initial law: weights uniform with variance 1 / fan_in, biases 0 but for those of the rates (-2, 0 and -4: write little, forget less) and of the embedding (normal with variance 1 / inputs, for the norm of an empty moment), persistent tokens normal, norms 1, convolutions as ``CausalConv``, the memory as its own, last, all drawn from ``generator``.
    Raises ``ValueError`` for unusable numbers and for inputs of another width. Source: behrouz2024 (memory as a gate). Differs from it in one layer, values of length 1 and a bound on theta, without which deep memories diverge, and in the form of the gate.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 32,
        heads: int = 2,
        window: int | None = 8,
        key_size: int = 16,
        value_size: int = 16,
        hidden: Sequence[int] = (),
        chunk: int = 8,
        momentum: bool = True,
        highest: float = 0.1,
        remembers: bool = True,
        persistent: int = 2,
        taps: int = 4,
        expansion: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        numbers = (inputs, outputs, width, heads, 1 if window is None else window, taps, expansion)
        if min(numbers) < 1 or width % heads or persistent < 0:
            raise ValueError(
                "A NeuralMemoryTransformer takes numbers from 1 up, persistent from 0, and a width that is a multiple of the heads; one given is not."
            )
        if not highest > 0:
            raise ValueError(
                f"highest bounds the memory's theta and is above 0, {highest!r} was given; remembers=False goes without a memory."
            )
        self.inputs, self.heads, self.window, self.highest = inputs, heads, window, highest
        self.momentum, self.remembers = momentum, remembers
        self.embed = drawn_linear(inputs, width, generator)
        nn.init.normal_(self.embed.bias, std=inputs**-0.5, generator=generator)
        self.persistent = nn.Parameter(torch.randn(persistent, width, generator=generator))
        self.norm1, self.norm2, self.norm = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = drawn_linear(width, 3 * width, generator), drawn_linear(width, width, generator)
        self.conv = CausalConv(3 * width, taps)
        self.up, self.down = drawn_linear(width, expansion * width, generator), drawn_linear(expansion * width, width, generator)
        self.readout = drawn_linear(width, outputs, generator)
        if remembers:
            self.asked = drawn_linear(width, 2 * key_size + value_size, generator)
            self.asked_conv = CausalConv(2 * key_size + value_size, taps)
            self.rates, self.gate = drawn_linear(width, 3, generator), drawn_linear(width, width, generator)
            self.told = drawn_linear(value_size, width, generator)
            self.memory = NeuralMemory(key_size, value_size, hidden=hidden, chunk=chunk, generator=generator)
            with torch.no_grad():
                self.rates.bias.copy_(torch.tensor([-2.0, 0.0, -4.0]))

    def forward(self, x: Tensor, write: float = 1.0) -> Tensor:
        """Map vectors [..., T, inputs] to [..., T, outputs]."""
        return self.trace(x, write)[0]

    def trace(self, x: Tensor, write: float = 1.0) -> tuple[Tensor, Remembered | None]:
        """Map as ``forward`` does, and tell how the memory was used, where there is one."""
        if x.ndim < 2 or x.shape[-1] != self.inputs:
            raise ValueError(
                f"This NeuralMemoryTransformer takes vectors [..., T, {self.inputs}], {list(x.shape)} was given; reshape them."
            )
        h = torch.cat((self.persistent.expand(*x.shape[:-2], *self.persistent.shape), self.embed(x)), -2)
        z = self.norm1(h)
        mixed, remembered = self.attend(z), None
        if self.remembers:
            read, remembered, gate = self._recall(z, write)
            mixed = (1 - gate) * mixed + gate * self.told(read)
        h = h + self.out(mixed)
        h = h + self.down(F.gelu(self.up(self.norm2(h))))
        y: Tensor = self.readout(self.norm(h[..., len(self.persistent) :, :]))
        return y, remembered

    def attend(self, z: Tensor) -> Tensor:
        """What attention gives, persistent tokens and window: [..., T, width] -> the same."""
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in self.conv(self.qkv(z)).chunk(3, -1))
        moments = torch.arange(z.shape[-2], device=z.device)
        since = moments.unsqueeze(-1) - moments
        unseen = since < 0
        if self.window is not None:
            unseen = unseen | ((since >= self.window) & (moments >= len(self.persistent)))
        scores = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(unseen, -torch.inf)
        mixed: Tensor = (scores.softmax(-1) @ v).transpose(-3, -2).flatten(-2)
        return mixed

    def _recall(self, z: Tensor, write: float) -> tuple[Tensor, Remembered, Tensor]:
        memory = self.memory
        asked = F.silu(self.asked_conv(self.asked(z)))
        q, k, v = (F.normalize(one, dim=-1) for one in asked.split((memory.key_size, memory.key_size, memory.value_size), -1))
        theta, eta, alpha = self.rates(z).sigmoid().unbind(-1)
        theta = write * self.highest * theta
        eta = eta if self.momentum else torch.zeros_like(eta)
        read, ended = memory(q, k, v, theta, eta, alpha)
        read = read * (read.square().mean(-1, keepdim=True) + SMALL).rsqrt()
        gate = self.gate(z).sigmoid()
        return read, Remembered(theta, eta, alpha, gate.mean(-1), memory.initial(*z.shape[:-2]), ended), gate
