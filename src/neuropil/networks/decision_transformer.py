"""A decision transformer: actions from what was promised, seen and done, within a window of moments, and from slots that are carried through the episode."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.memory import SlotWorkingMemory, drawn_linear


class WindowAttention(nn.Module):
    """Causal multi-head attention over the last ``window`` moments, the present one included, each head with a learned bias for every age; x [..., T, width] -> the same.

    Equation, for each head: ``y_t = sum_(a < window) softmax_a(q_t . k_(t-a) / sqrt(n) + b_a) v_(t-a)``, moments before the first left out; the outputs of all heads pass one matrix. ``b`` [heads, window] begins normal, so that heads differ in what they look at.
    ``pinned``: the first so many moments stay in sight once they have left the window, in the same softmax, with a bias ``c`` [heads, pinned] for every place in place of one for the age, normal too: ``window + pinned`` vectors are looked at.
    """

    def __init__(self, width: int, heads: int, window: int, generator: torch.Generator | None, pinned: int = 0) -> None:
        super().__init__()
        self.heads, self.window, self.pinned = heads, window, pinned
        self.qkv, self.out = drawn_linear(width, 3 * width, generator), drawn_linear(width, width, generator)
        self.bias = nn.Parameter(torch.randn(heads, window, generator=generator))
        if pinned:
            self.places = nn.Parameter(torch.randn(heads, pinned, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Mix a whole sequence, in stretches of ``window`` moments that look at themselves, the stretch before and what is pinned."""
        length, span, projected = x.shape[-2], self.window, self.qkv(x)
        whole = F.pad(projected, (0, 0, 0, -length % span)).unflatten(-2, (-1, span))
        q, k, v = self._heads(whole)
        k, v = (torch.cat((F.pad(part, (0, 0, 0, 0, 0, 0, 1, 0))[..., :-1, :, :, :], part), -2) for part in (k, v))
        age = torch.arange(span).unsqueeze(-1) + span - torch.arange(2 * span)
        unseen = (age < 0) | (age >= span)
        first = unseen | (torch.arange(2 * span) < span)
        hidden = torch.stack((first, *(unseen,) * (q.shape[-4] - 1))).unsqueeze(-3)
        scores = (q @ k.mT * q.shape[-1] ** -0.5 + self.bias[:, age.clamp(0, span - 1)]).masked_fill(hidden, -torch.inf)
        if self.pinned:
            n = min(self.pinned, length)
            _, k, worth = (part.unsqueeze(-4) for part in self._heads(projected[..., :n, :]))
            still = torch.arange(q.shape[-4] * span).unflatten(0, (-1, 1, span)).unsqueeze(-1) - torch.arange(n) < span
            pins = (q @ k.mT * q.shape[-1] ** -0.5 + self.places[:, :n].unsqueeze(-2)).masked_fill(still, -torch.inf)
            scores, v = torch.cat((pins, scores), -1), torch.cat((worth.expand(*v.shape[:-2], n, -1), v), -2)
        y: Tensor = self.out((scores.softmax(-1) @ v).transpose(-3, -2).flatten(-2).flatten(-3, -2)[..., :length, :])
        return y

    def last(self, x: Tensor, first: Tensor | None = None) -> Tensor:
        """Mix for the last of at most ``window`` moments, x [..., n, width] -> [..., 1, width]; ``first`` [..., m, width] are those of the pinned moments that have left the window."""
        x = x[..., -self.window :, :]
        bias = self.bias[:, : x.shape[-2]].flip(-1)
        if first is not None:
            x, bias = torch.cat((first, x), -2), torch.cat((self.places[:, : first.shape[-2]], bias), -1)
        q, k, v = self._heads(self.qkv(x))
        scores = q[..., -1:, :] @ k.mT * q.shape[-1] ** -0.5 + bias.unsqueeze(-2)
        y: Tensor = self.out((scores.softmax(-1) @ v).transpose(-3, -2).flatten(-2))
        return y

    def _heads(self, projected: Tensor) -> Iterator[Tensor]:
        """Part Q, K and V [..., n, 3 width] by heads, each [..., heads, n, width / heads]."""
        return (part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in projected.chunk(3, -1))


class Read(NamedTuple):
    """What a memory did in an episode: ``slots`` [..., segments, slots, width] with which segments began, how much of each was read, ``weights`` [..., segments, heads, segment, slots], and ``read`` [..., T, width]."""

    slots: Tensor
    weights: Tensor
    read: Tensor


class DecisionTransformer(nn.Module):
    """Linear embedding, pre-norm blocks of ``WindowAttention`` and a two-layer perceptron (rectified), a last norm, a linear read-out; the last block also reads a ``SlotWorkingMemory``.

    One vector a moment, x [..., T, inputs] (return-to-go, what is seen, the action before), gives [..., T, outputs]. In the last block ``z = norm1(h)``, ``h <- h + attn(z) + strength read(M_n, z)``; moments come in segments of ``segment``, and ``M_n`` was written from the z of the n segments before: no moment is read
    before it has passed, and what was written at the start can last through the episode. ``slots=0`` has no memory. ``y, s = net.step(x_t, s)`` takes one moment, x [..., inputs], from ``net.initial(*leading)``, and gives what the whole sequence would. ``carried=False`` in either begins every write with empty slots, so that they hold one segment;
    ``merged=True`` lets every slot be read as the mean of all, while they are written as before. ``pinned``: attention in all blocks also sees the first so many moments. ``keep``: gates of the memory begin about ``i = 1 / (1 + keep)`` and ``f = keep / (1 + keep)``, so that what is written lasts about so many segments (tallec2018).

    ``trace(x, carried)`` gives a ``Read`` too. Initial law: weights uniform with variance 1 / fan-in, biases 0, norms 1, biases of ages normal, drawn from ``generator``, the memory as its own, last. Raises ``ValueError`` for unusable numbers and inputs of another width. Sources: chen2021 (decision transformer), kang2023 (memory; by its equations, not its released state).
    Differs from them in one token a moment instead of three, in that slots begin distinct and are carried, in that a segment is read only once it is over, and in attention that is kept beside the memory instead of replaced by it.
    """

    class State(NamedTuple):
        """``time``: moments taken; ``past``: the normed inputs [..., n, width] of each block, as many as are looked at or written; ``slots`` [..., slots, width]; ``first``: the normed inputs of the pinned moments [..., n, width] of each block."""

        time: int
        past: tuple[Tensor, ...]
        slots: Tensor
        first: tuple[Tensor, ...]

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
        pinned: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(inputs, outputs, width, heads, layers, hidden, window, segment, keep) < 1 or min(slots, pinned) < 0 or width % heads:
            raise ValueError(
                "A DecisionTransformer takes numbers from 1 up, slots and pinned moments from 0, and a width that is a multiple of the heads; one given is not."
            )
        self.inputs, self.slots, self.segment, self.strength = inputs, slots, segment, strength
        self.embed = drawn_linear(inputs, width, generator)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.LayerNorm(width),
                    "attn": WindowAttention(width, heads, window, generator, pinned),
                    "norm2": nn.LayerNorm(width),
                    "up": drawn_linear(width, hidden, generator),
                    "down": drawn_linear(hidden, width, generator),
                }
            )
            for _ in range(layers)
        )
        self.norm, self.readout = nn.LayerNorm(width), drawn_linear(width, outputs, generator)
        self.window, self.pinned, self.kept = window, pinned, max(window, segment)
        if slots:
            self.memory = SlotWorkingMemory(slots, width, heads=heads, top=None, generator=generator)
            with torch.no_grad():
                taken, kept = self.memory.from_input.bias.chunk(2)
                taken.fill_(-math.log(keep)), kept.fill_(math.log(keep))

    def forward(self, x: Tensor, carried: bool = True, merged: bool = False) -> Tensor:
        """Map whole episodes [..., T, inputs] to [..., T, outputs]."""
        return self.trace(x, carried, merged)[0]

    def trace(self, x: Tensor, carried: bool = True, merged: bool = False) -> tuple[Tensor, Read | None]:
        """Map as ``forward`` does, and tell what the memory did, where there is one."""
        h: Tensor = self.embed(self._checked(x, 2))
        told = None
        for k, block in enumerate(self.blocks):
            z = block["norm1"](h)  # type: ignore[index]
            h = h + block["attn"](z)  # type: ignore[index]
            if self.slots and k == len(self.blocks) - 1:
                parts = F.pad(z, (0, 0, 0, -z.shape[-2] % self.segment)).unflatten(-2, (-1, self.segment))
                slots, attend = self._written(parts, carried), self.memory.attention
                keys, values = attend.show(_mean(slots) if merged else slots)
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
        return self.State(0, (nothing,) * len(self.blocks), slots, (nothing,) * len(self.blocks))

    def step(self, x: Tensor, s: State, carried: bool = True, merged: bool = False) -> tuple[Tensor, State]:
        """Take one moment [..., inputs]; give [..., outputs] and the state after it."""
        h: Tensor = self.embed(self._checked(x, 1)).unsqueeze(-2)
        past, first, slots = [], [], s.slots
        gone = max(0, s.time + 1 - self.window)
        for k, (block, before, begun) in enumerate(zip(self.blocks, s.past, s.first, strict=True)):
            z = block["norm1"](h)  # type: ignore[index]
            past.append(torch.cat((before, z), -2)[..., -self.kept :, :])
            first.append(torch.cat((begun, z), -2) if s.time < self.pinned else begun)
            h = h + block["attn"].last(past[-1], first[-1][..., :gone, :] if self.pinned else None)  # type: ignore[index]
            if self.slots and k == len(self.blocks) - 1:
                h = h + self.strength * self.memory.read(self.memory.State(_mean(s.slots) if merged else s.slots), z)
                if (s.time + 1) % self.segment == 0:
                    slots = self._write(slots, past[-1][..., -self.segment :, :], carried)
            h = h + block["down"](block["up"](block["norm2"](h)).relu())  # type: ignore[index]
        return self.readout(self.norm(h)).squeeze(-2), self.State(s.time + 1, tuple(past), slots, tuple(first))

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


def _mean(slots: Tensor) -> Tensor:
    """Put the mean of all slots [..., slots, width] into each."""
    return slots.mean(-2, keepdim=True).expand_as(slots)
