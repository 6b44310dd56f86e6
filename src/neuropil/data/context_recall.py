"""Recall in context: pairs that belong to the context of a sequence are asked for later, pairs of other contexts are in the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.data.checks import whole


class Recall(NamedTuple):
    """Sequences x [items, T, channels], the class of each question i64 [items, questions], and which pairs belong to the context, bool [items, pairs]."""

    x: Tensor
    target: Tensor
    relevant: Tensor


@dataclass(frozen=True)
class ContextRecall:
    """Key-value recall among distractors: what was bound to this key *in this sequence's context*?

    A sequence belongs to one of ``contexts`` contexts and begins with a moment that shows it. Then come ``pairs`` pairs of a key and a value, each with a context, one a moment. ``asked`` of them, at random places and with different keys, have the sequence's own; the others are
    distractors, each with another context and a key drawn with replacement, so that most keys asked for were bound to other values too. Then ``gap`` empty moments, then all ``asked`` keys in random order, with a cue and the sequence's context. Values are drawn with replacement, so no answer
    without memory is better than ``1 / values``. Channels: key, value, cue (0 or 1) and context, one channel each.

    ``draw(items, generator)`` gives a ``Recall``. Raises ``TypeError`` or ``ValueError`` for numbers that are not whole or too small, and for more asked than pairs or keys. The task is our own.
    """

    keys: int = 16
    values: int = 8
    pairs: int = 24
    asked: int = 6
    gap: int = 8
    contexts: int = 8

    def __post_init__(self) -> None:
        for name, least in (("keys", 1), ("values", 2), ("pairs", 1), ("asked", 1), ("gap", 0), ("contexts", 2)):
            whole(name, getattr(self, name), least)
        if self.asked > min(self.pairs, self.keys):
            raise ValueError(
                f"asked is at most the pairs and the keys, {self.asked} of {self.pairs} pairs and {self.keys} keys were given; ask for fewer."
            )

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self.keys + self.values + 1 + self.contexts

    @property
    def steps(self) -> int:
        """Moments of a sequence: the first shows the context, the last ``asked`` are the questions."""
        return 1 + self.pairs + self.gap + self.asked

    def draw(self, items: int, generator: torch.Generator) -> Recall:
        """Draw ``items`` sequences."""
        every = torch.arange(items).unsqueeze(1)
        places = torch.rand(items, self.pairs, generator=generator).argsort(1)[:, : self.asked]
        own = torch.rand(items, self.keys, generator=generator).argsort(1)[:, : self.asked]
        keys = torch.randint(self.keys, (items, self.pairs), generator=generator)
        keys[every, places] = own
        values = torch.randint(self.values, (items, self.pairs), generator=generator)
        relevant = torch.zeros(items, self.pairs, dtype=torch.bool)
        relevant[every, places] = True
        context = torch.randint(self.contexts, (items, 1), generator=generator)
        others = (context + torch.randint(1, self.contexts, (items, self.pairs), generator=generator)) % self.contexts
        order = torch.rand(items, self.asked, generator=generator).argsort(1)
        x = torch.zeros(items, self.steps, self.channels)
        told, shown, asked = torch.arange(1, 1 + self.pairs), self.keys + self.values + 1, torch.arange(self.steps - self.asked, self.steps)
        x[every, 0, shown + context] = 1.0
        x[every, told, keys] = 1.0
        x[every, told, self.keys + values] = 1.0
        x[every, told, shown + torch.where(relevant, context, others)] = 1.0
        x[every, asked, own.gather(1, order)] = 1.0
        x[every, asked, shown + context] = 1.0
        x[:, asked, shown - 1] = 1.0
        return Recall(x, values.gather(1, places).gather(1, order), relevant)
