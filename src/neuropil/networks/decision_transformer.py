"""A decision transformer: actions from what was promised, seen and done, within a window of moments, and from slots that are carried through the episode."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.memory import SlotWorkingMemory, drawn_linear


class WindowAttention(nn.Module):
    """Causal multi-head attention over the last ``window`` moments, the present one included, each head with a learned bias for every age; x [..., T, width] -> the same.

    Equation, for each head: ``y_t = sum_(a < window) softmax_a(q_t . k_(t-a) / sqrt(n) + b_a) v_(t-a)``, moments before the first left out; the outputs of all heads pass one matrix. ``b`` [heads, window] begins normal, so that heads differ in what they look at.
    """

    def __init__(self, width: int, heads: int, window: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv, self.out = drawn_linear(width, 3 * width, generator), drawn_linear(width, width, generator)
        self.bias = nn.Parameter(torch.randn(heads, window, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Mix a whole sequence, in stretches of ``window`` moments that look at themselves and the stretch before."""
        length, span = x.shape[-2], self.window
        whole = F.pad(self.qkv(x), (0, 0, 0, -length % span)).unflatten(-2, (-1, span))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in whole.chunk(3, -1))
        k, v = (torch.cat((F.pad(part, (0, 0, 0, 0, 0, 0, 1, 0))[..., :-1, :, :, :], part), -2) for part in (k, v))
        age = torch.arange(span).unsqueeze(-1) + span - torch.arange(2 * span)
        unseen = (age < 0) | (age >= span)
        first = unseen | (torch.arange(2 * span) < span)
        hidden = torch.stack((first, *(unseen,) * (q.shape[-4] - 1))).unsqueeze(-3)
        scores = q @ k.mT * q.shape[-1] ** -0.5 + self.bias[:, age.clamp(0, span - 1)]
        mixed = scores.masked_fill(hidden, -torch.inf).softmax(-1) @ v
        y: Tensor = self.out(mixed.transpose(-3, -2).flatten(-2).flatten(-3, -2)[..., :length, :])
        return y

    def last(self, x: Tensor) -> Tensor:
        """Mix for the last of at most ``window`` moments, x [..., n, width] -> [..., 1, width]."""
        x = x[..., -self.window :, :]
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in self.qkv(x).chunk(3, -1))
        scores = q[..., -1:, :] @ k.mT * q.shape[-1] ** -0.5 + self.bias[:, : x.shape[-2]].flip(-1).unsqueeze(-2)
        y: Tensor = self.out((scores.softmax(-1) @ v).transpose(-3, -2).flatten(-2))
        return y


class Read(NamedTuple):
    """What a memory did in an episode: ``slots`` [..., segments, slots, width] with which segments began, how much of each was read, ``weights`` [..., segments, heads, segment, slots], and ``read`` [..., T, width]."""

    slots: Tensor
    weights: Tensor
    read: Tensor


class DecisionTransformer(nn.Module):
    """Linear embedding, pre-norm blocks of ``WindowAttention`` and a two-layer perceptron (rectified), a last norm, a linear read-out; the last block also reads a ``SlotWorkingMemory``.

    One vector a moment, x [..., T, inputs] (return-to-go, what is seen, the action before), gives [..., T, outputs]. In the last block ``z = norm1(h)``, ``h <- h + attn(z) + strength read(M_n, z)``; moments come in segments of ``segment``, and ``M_n`` was written from the z of the n segments before: no moment is read
    before it has passed, and what was written at the start can last through the episode. ``slots=0`` has no memory. ``y, s = net.step(x_t, s)`` takes one moment, x [..., inputs], from ``net.initial(*leading)``, and gives what the whole sequence would. ``carried=False`` in either begins every write with empty slots, so that they hold one segment.
    ``keep``: gates of the memory begin about ``i = 1 / (1 + keep)`` and ``f = keep / (1 + keep)``, so that what is written lasts about so many segments (tallec2018).

    ``trace(x, carried)`` gives a ``Read`` too. Initial law: weights uniform with variance 1 / fan-in, biases 0, norms 1, biases of ages normal, drawn from ``generator``, the memory as its own, last. Raises ``ValueError`` for unusable numbers and inputs of another width. Sources: chen2021 (decision transformer), kang2023 (memory; by its equations, not its released state).
    Differs from them in one token a moment instead of three, in that slots begin distinct and are carried, in that a segment is read only once it is over, and in attention that is kept beside the memory instead of replaced by it.
    """

    class State(NamedTuple):
        """``time``: moments taken; ``past``: the normed inputs [..., n, width] of each block, as many as are looked at or written; ``slots`` [..., slots, width]."""

        time: int
        past: tuple[Tensor, ...]
        slots: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        hidden: int = 96,
        window: int = 8,
        slots: int = 0,
        segment: int = 8,
        strength: float = 1.0,
        keep: float = 48.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(inputs, outputs, width, heads, layers, hidden, window, segment, keep) < 1 or slots < 0 or width % heads:
            raise ValueError(
                "A DecisionTransformer takes numbers from 1 up, slots from 0, and a width that is a multiple of the heads; one given is not."
            )
        self.inputs, self.slots, self.segment, self.strength = inputs, slots, segment, strength
        self.embed = drawn_linear(inputs, width, generator)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.LayerNorm(width),
                    "attn": WindowAttention(width, heads, window, generator),
                    "norm2": nn.LayerNorm(width),
                    "up": drawn_linear(width, hidden, generator),
                    "down": drawn_linear(hidden, width, generator),
                }
            )
            for _ in range(layers)
        )
        self.norm, self.readout = nn.LayerNorm(width), drawn_linear(width, outputs, generator)
        self.kept = max(window, segment)
        if slots:
            self.memory = SlotWorkingMemory(slots, width, heads=heads, top=None, generator=generator)
            with torch.no_grad():
                taken, kept = self.memory.from_input.bias.chunk(2)
                taken.fill_(-math.log(keep)), kept.fill_(math.log(keep))

    def forward(self, x: Tensor, carried: bool = True) -> Tensor:
        """Map whole episodes [..., T, inputs] to [..., T, outputs]."""
        return self.trace(x, carried)[0]

    def trace(self, x: Tensor, carried: bool = True) -> tuple[Tensor, Read | None]:
        """Map as ``forward`` does, and tell what the memory did, where there is one."""
        h: Tensor = self.embed(self._checked(x, 2))
        told = None
        for k, block in enumerate(self.blocks):
            z = block["norm1"](h)  # type: ignore[index]
            h = h + block["attn"](z)  # type: ignore[index]
            if self.slots and k == len(self.blocks) - 1:
                parts = F.pad(z, (0, 0, 0, -z.shape[-2] % self.segment)).unflatten(-2, (-1, self.segment))
                slots, attend = self._written(parts, carried), self.memory.attention
                keys, values = attend.show(slots)
                weights = attend.weights(attend.ask(parts), keys)
                read = (weights @ values).transpose(-3, -2).flatten(-2).flatten(-3, -2)[..., : z.shape[-2], :]
                told = Read(slots, weights, read)
                h = h + self.strength * read
            h = h + block["down"](block["up"](block["norm2"](h)).relu())  # type: ignore[index]
        y: Tensor = self.readout(self.norm(h))
        return y, told

    def initial(self, *leading: int) -> State:
        """Begin an episode: nothing seen, slots distinct and empty."""
        nothing = self.embed.weight.new_zeros(*leading, 0, self.embed.out_features)
        slots = self.memory.initial(*leading).slots if self.slots else nothing
        return self.State(0, (nothing,) * len(self.blocks), slots)

    def step(self, x: Tensor, s: State, carried: bool = True) -> tuple[Tensor, State]:
        """Take one moment [..., inputs]; give [..., outputs] and the state after it."""
        h: Tensor = self.embed(self._checked(x, 1)).unsqueeze(-2)
        past, slots = [], s.slots
        for k, (block, before) in enumerate(zip(self.blocks, s.past, strict=True)):
            z = block["norm1"](h)  # type: ignore[index]
            past.append(torch.cat((before, z), -2)[..., -self.kept :, :])
            h = h + block["attn"].last(past[-1])  # type: ignore[index]
            if self.slots and k == len(self.blocks) - 1:
                h = h + self.strength * self.memory.read(self.memory.State(s.slots), z)
                if (s.time + 1) % self.segment == 0:
                    slots = self._write(slots, past[-1][..., -self.segment :, :], carried)
            h = h + block["down"](block["up"](block["norm2"](h)).relu())  # type: ignore[index]
        return self.readout(self.norm(h)).squeeze(-2), self.State(s.time + 1, tuple(past), slots)

    def _write(self, slots: Tensor, z: Tensor, carried: bool) -> Tensor:
        begun = self.memory.State(slots) if carried else self.memory.initial(*z.shape[:-2])
        return self.memory.write(begun, z)[1].slots

    def _written(self, parts: Tensor, carried: bool) -> Tensor:
        """Slots at the start of every segment, from segments [..., S, segment, width]."""
        found = [self.memory.initial(*parts.shape[:-3]).slots]
        for z in parts.unbind(-3)[:-1]:
            found.append(self._write(found[-1], z, carried))
        return torch.stack(found, -3)

    def _checked(self, x: Tensor, least: int) -> Tensor:
        if x.ndim < least or x.shape[-1] != self.inputs:
            raise ValueError(f"This DecisionTransformer takes vectors of {self.inputs}, {list(x.shape)} was given; reshape them.")
        return x
