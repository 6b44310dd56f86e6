"""Keyed recall: pairs of a key and a value are shown, time passes, a key is shown again, and its value is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neuropil.data.checks import whole


@dataclass(frozen=True)
class KeyedRecall:
    """Delayed key-value recall: what was bound to this key, ``delay`` steps ago?

    A sequence shows ``pairs`` different keys, each with a value drawn with replacement, for ``shown`` steps a pair; then ``delay`` steps in which every channel is 1 with probability ``noise``; then one of
    the keys with a cue, for ``shown`` steps. The class is the value of that key; with no memory no answer is better than chance, ``1 / values``, and with a memory of values but not of their keys none is better than
    ``(1 + (pairs - 1) / values) / pairs``. Channels are keys, values and the cue. Source: graves2014 (associative recall). Differs from it in one step of copying back, with noise while waiting.

    Raises ``TypeError`` or ``ValueError`` for numbers that are not whole or too small, fewer keys than pairs, noise outside [0, 1].
    """

    keys: int = 8
    values: int = 8
    pairs: int = 2
    shown: int = 4
    delay: int = 40
    noise: float = 0.02

    def __post_init__(self) -> None:
        for name, least in (("keys", 1), ("values", 2), ("pairs", 1), ("shown", 1), ("delay", 0)):
            whole(name, getattr(self, name), least)
        if self.keys < self.pairs:
            raise ValueError(f"A sequence shows different keys, {self.pairs} pairs of {self.keys} keys were given; give as many keys.")
        if not 0 <= self.noise <= 1:
            raise ValueError(f"noise is a probability, {self.noise!r} was given.")

    @property
    def steps(self) -> int:
        """Steps of a sequence."""
        return self.shown * (self.pairs + 1) + self.delay

    @property
    def channels(self) -> int:
        """Channels of the input: keys, values, cue."""
        return self.keys + self.values + 1

    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``items`` sequences: x [T, items, channels] of 0 and 1, classes i64 [items]."""
        every = torch.arange(items)
        keys = torch.rand(items, self.keys, generator=generator).argsort(1)[:, : self.pairs]
        values = torch.randint(self.values, (items, self.pairs), generator=generator)
        asked = torch.randint(self.pairs, (items,), generator=generator)
        x = torch.zeros(self.steps, items, self.channels)
        for pair in range(self.pairs):
            here = slice(pair * self.shown, (pair + 1) * self.shown)
            x[here, every, keys[:, pair]] = 1.0
            x[here, every, self.keys + values[:, pair]] = 1.0
        waiting = x[self.pairs * self.shown : self.steps - self.shown]
        waiting.copy_(torch.rand(waiting.shape, generator=generator) < self.noise)
        x[self.steps - self.shown :, every, keys[every, asked]] = 1.0
        x[self.steps - self.shown :, :, -1] = 1.0
        return x, values[every, asked]
