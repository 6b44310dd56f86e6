"""Paired associative inference: pairs of neighbours in a chain are stored one by one, and ends are asked for what lies one, two or more pairs away."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.data.checks import whole


class Inferences(NamedTuple):
    """``facts`` [items, pairs, 2, code], ``cue`` [items, code], ``options`` [items, 2, code], ``target`` i64 [items]: which option, ``distance`` i64 [items]: pairs from cue to match, ``path`` i64 [items, length - 1]: the fact of each hop along the cue's chain."""

    facts: Tensor
    cue: Tensor
    options: Tensor
    target: Tensor
    distance: Tensor
    path: Tensor


@dataclass(frozen=True)
class PairedInference:
    """Which of two items belongs to the cue's chain? Only pairs of neighbours were stored.

    An item of a batch has ``chains`` chains of ``length`` codes each, all drawn anew: different rows of a Hadamard matrix, whose columns have random signs, so that codes are -1 and 1, two of a memory are orthogonal, and no code is known from elsewhere. Wherever a code is shown, in each fact, as cue and as option, normal numbers of deviation ``noise`` are added anew: no two views of an item are the same. Its facts are the pairs of neighbours of all chains, ``pairs`` of them, in random order, and
    so are the two of a pair: nothing tells which way a chain goes. The cue is one of the two ends of a chain, the match the code ``distance`` pairs away, and the lure the code at the match's place in another chain, so that no answer without the facts is better than 1/2, and without ``distance`` facts of the chain none
    that begins at the cue. ``path`` tells which facts lead from the cue to the chain's other end.

    ``draw(items, generator)`` gives ``Inferences``, distances 1 to ``length - 1`` alike often. Raises ``TypeError`` or ``ValueError`` for numbers that are not whole or too small, and for a ``code`` that is no power of 2 or smaller than the number of codes.
    Source: banino2020. Differs from it in noisy orthogonal codes for embedded photographs, cues that are ends (there all pairs of a chain are asked), and pairs whose two items lie in random order.
    """

    chains: int = 4
    length: int = 4
    code: int = 16
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("chains", "length", "code"):
            whole(name, getattr(self, name), 2)
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"noise is a deviation from 0 up, {self.noise!r} was given.")
        if self.code & (self.code - 1) or self.code < self.chains * self.length:
            raise ValueError(
                f"code is a power of 2 and no smaller than chains times length, {self.code} was given for {self.chains} times {self.length}; give for example {1 << (self.chains * self.length - 1).bit_length()}."
            )

    @property
    def pairs(self) -> int:
        """How many facts are stored."""
        return self.chains * (self.length - 1)

    def draw(self, items: int, generator: torch.Generator) -> Inferences:
        """Draw ``items`` memories with a question each."""
        every, links = torch.arange(items), self.length - 1
        rows = torch.rand(items, self.code, generator=generator).argsort(1)[:, : self.chains * self.length]
        signs = torch.randint(2, (items, 1, self.code), generator=generator).float() * 2 - 1
        codes = (hadamard(self.code)[rows] * signs).unflatten(1, (self.chains, self.length))
        facts = torch.stack((codes[:, :, :-1], codes[:, :, 1:]), 3).flatten(1, 2)
        turned = torch.rand(items, self.pairs, 1, 1, generator=generator) < 0.5
        order = torch.rand(items, self.pairs, generator=generator).argsort(1)
        facts = torch.where(turned, facts.flip(2), facts)[every.unsqueeze(1), order]
        chain, other = torch.rand(items, self.chains, generator=generator).argsort(1)[:, :2].unbind(1)
        distance = torch.randint(1, self.length, (items,), generator=generator)
        backwards = torch.rand(items, generator=generator) < 0.5
        place = torch.where(backwards, links - distance, distance)
        target = torch.randint(2, (items,), generator=generator)
        both = torch.stack((codes[every, chain, place], codes[every, other, place]), 1)
        options = torch.where(target.view(-1, 1, 1) == 0, both, both.flip(1))
        along = torch.arange(links)
        path = order.argsort(1).gather(1, chain.unsqueeze(1) * links + torch.where(backwards.unsqueeze(1), links - 1 - along, along))
        shown = (facts, codes[every, chain, torch.where(backwards, links, 0)], options)
        facts, cue, options = (one + self.noise * torch.randn(one.shape, generator=generator) for one in shown) if self.noise else shown
        return Inferences(facts, cue, options, target, distance, path)


def hadamard(size: int) -> Tensor:
    """Return Sylvester's Hadamard matrix [size, size] of -1 and 1, whose rows are orthogonal; ``size`` is a power of 2."""
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.cat((torch.cat((matrix, matrix), 1), torch.cat((matrix, -matrix), 1)))
    return matrix
