"""Few-shot episodes: pictures of a few classes come one by one, each under a label that holds for this episode alone and is told after the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.data.checks import whole


class Episodes(NamedTuple):
    """``seen`` f32 [T, B, D]; ``label`` i64 [T, B], which of the episode's classes; ``time`` i64 [T, B], the how manieth of its class it is, from 1; ``kind`` i64 [T, B], its class."""

    seen: Tensor
    label: Tensor
    time: Tensor
    kind: Tensor


class FewShotEpisodes:
    """Episodes of ``ways`` classes with ``shots`` pictures each, in random order, T = ways shots, every picture drawn anew from its class.

    The classes of an episode are different ones and get the labels 0 to ways - 1 at random, so that only earlier moments tell which label a class has; at a class's first picture (``time`` 1) no answer is better than chance but for the labels that were already told.
    ``images`` f32 [N, ...] with ``classes`` i64 [N]; a picture has D numbers. Source: santoro2016, there with 50 moments and classes of handwritten characters.
    Raises ``TypeError`` or ``ValueError`` for numbers that are not whole or too small, images and classes that do not fit, and for more ways than classes.
    """

    def __init__(self, images: Tensor, classes: Tensor, *, ways: int = 5, shots: int = 5) -> None:
        whole("ways", ways, 1)
        whole("shots", shots, 1)
        if images.ndim < 2 or classes.shape != images.shape[:1] or classes.is_floating_point():
            raise ValueError(
                f"FewShotEpisodes takes images [N, ...] and whole classes [N], {list(images.shape)} and {classes.dtype} {list(classes.shape)} were given."
            )
        self.ways, self.shots = ways, shots
        self.images, self.count = images.flatten(1)[classes.argsort(stable=True)], classes.bincount()
        self.first = self.count.cumsum(0) - self.count

    def draw(self, items: int, generator: torch.Generator, *, among: Sequence[int]) -> Episodes:
        """Draw ``items`` episodes of the classes ``among``."""
        whole("items", items, 1)
        pool = torch.as_tensor(among)
        if len(pool) < self.ways:
            raise ValueError(f"An episode takes {self.ways} different classes, {len(pool)} were given; give more or take fewer ways.")
        if len(pool.unique()) < len(pool) or not all(0 <= c < len(self.count) and self.count[c] for c in pool.tolist()):
            raise ValueError(f"among are different classes that there are images of, {list(among)} was given.")
        classes = pool[torch.rand(items, len(pool), generator=generator).argsort(1)[:, : self.ways]]
        every = torch.arange(self.ways).repeat_interleave(self.shots)
        label = every[torch.rand(items, len(every), generator=generator).argsort(1)]
        kind = classes.gather(1, label)
        drawn = torch.rand(kind.shape, generator=generator, dtype=torch.float64)
        seen = self.images[self.first[kind] + (drawn * self.count[kind]).long()]
        same = label.unsqueeze(2) == label.unsqueeze(1)
        time = same.tril().sum(2)
        return Episodes(seen.transpose(0, 1).contiguous(), *(one.T.contiguous() for one in (label, time, kind)))
