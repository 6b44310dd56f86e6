"""Fast mapping: objects are named once, in words that are dealt out anew every episode, and then one of them is asked for by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from neuropil.data.checks import whole
from neuropil.data.content import Array


class MappingEpisodes(NamedTuple):
    """``seen`` f32 [T, B, D] and ``heard`` f32 [T, B, words + 2] up to the instruction, the last step; ``offered`` f32 [B, n, D], to choose from; ``place`` i64 [B], where the named object is among them; ``row`` i64 [B], the step of its naming."""

    seen: Tensor
    heard: Tensor
    offered: Tensor
    place: Tensor
    row: Tensor


class FastMapping:
    """Episodes of one-shot word-object binding: "this is a dax", "this is a blicket", ..., "pick the dax".

    An episode takes n objects of different classes and n different words, at random and newly paired every time. Each object is named once: it is in view and its word is heard with "this is a". After each naming come ``silent``
    steps with any of the n objects in view and not a word. At the last step, T - 1 = n (1 + silent), nothing is in view (zeros) and one of the words is heard with "pick". Then every object is offered, in random order. With no memory of the pairing no choice is
    better than chance, 1 / n. Every picture is a view of its own, moved by up to ``shift`` pixels either way, each axis apart, with 0 outside. An object is one image of its class, seen again and again; with ``fresh`` every picture is of another image of
    the class, drawn anew, so that vision has to go by the class.

    ``images`` f32 [N, H, H] with ``classes`` i64 [N]; a picture has D = H^2 pixels. Channels of what is heard: one for each word, then "this is a" and "pick", 0 or 1. Source: hill2021, which has a room in three dimensions with objects to walk to and lift.
    Raises ``TypeError`` or ``ValueError`` for numbers that are not whole or too small, images and classes that do not fit, and for more objects than words or classes.
    """

    def __init__(self, images: Tensor, classes: Tensor, *, words: int = 20, silent: int = 1, shift: int = 1) -> None:
        whole("words", words, 1)
        whole("silent", silent, 0)
        whole("shift", shift, 0)
        if images.ndim != 3 or images.shape[1] != images.shape[2] or classes.shape != images.shape[:1] or classes.is_floating_point():
            raise ValueError(
                f"FastMapping takes images [N, H, H] and whole classes [N], {list(images.shape)} and {classes.dtype} {list(classes.shape)} were given."
            )
        order, side = classes.argsort(stable=True), images.shape[1]
        self.words, self.silent, self.places, self.pixels = words, silent, 2 * shift + 1, side * side
        self.views = pad(images[order], (shift,) * 4).unfold(1, side, 1).unfold(2, side, 1)
        self.count = classes.bincount()
        self.first = self.count.cumsum(0) - self.count

    @property
    def channels(self) -> int:
        """Channels of what is heard."""
        return self.words + 2

    def draw(self, items: int, objects: int, generator: torch.Generator, *, among: Sequence[int], fresh: bool = False) -> MappingEpisodes:
        """Draw ``items`` episodes with ``objects`` of the classes ``among``."""
        whole("items", items, 1)
        whole("objects", objects, 1)
        pool = torch.as_tensor(among)
        if objects > min(len(pool), self.words):
            raise ValueError(
                f"An episode takes different classes and words, {objects} objects of {len(pool)} classes and {self.words} words were asked for; ask for fewer."
            )
        if len(pool.unique()) < len(pool) or not all(0 <= c < len(self.count) and self.count[c] for c in pool.tolist()):
            raise ValueError(f"among are different classes that there are images of, {list(among)} was given.")
        every, each = torch.arange(items), torch.arange(objects)
        stride, last = 1 + self.silent, objects * (1 + self.silent)
        classes = pool[torch.rand(items, len(pool), generator=generator).argsort(1)[:, :objects]]
        words = torch.rand(items, self.words, generator=generator).argsort(1)[:, :objects]
        asked = torch.randint(objects, (items,), generator=generator)
        order = torch.rand(items, objects, generator=generator).argsort(1)
        in_view = torch.cat((torch.randint(objects, (items, last), generator=generator), order), 1)
        in_view[:, :last:stride] = each
        shape = in_view.shape if fresh else classes.shape
        drawn = torch.rand(shape, generator=generator, dtype=torch.float64)
        kind = classes.gather(1, in_view) if fresh else classes
        images = self.first[kind] + (drawn * self.count[kind]).long()
        images = images if fresh else images.gather(1, in_view)
        moved = torch.randint(self.places, (2, *in_view.shape), generator=generator)
        pictures = self.views[images, moved[0], moved[1]].flatten(2)
        seen = torch.cat((pictures[:, :last].transpose(0, 1), torch.zeros(1, items, self.pixels)))
        heard = torch.zeros(last + 1, items, self.channels)
        heard[each * stride, every[:, None], words] = 1.0
        heard[each * stride, :, self.words] = 1.0
        heard[last, every, words[every, asked]] = 1.0
        heard[last, :, self.words + 1] = 1.0
        return MappingEpisodes(seen, heard, pictures[:, last:], (order == asked[:, None]).long().argmax(1), asked * stride)


def quarter_turns(images: Array, labels: Array) -> tuple[Tensor, Tensor]:
    """Make four classes of each by quarter turns: u8 [N, H, H] and labels [N] -> pictures f32 [4 N, H, H], 0 to 1, and classes i64 [4 N].

    Turned by k quarters against the clock, a picture of label y is of class 4 y + k. Raises ``ValueError`` for pictures that are not square or not u8.
    """
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2] or labels.shape != images.shape[:1]:
        raise ValueError(
            f"quarter_turns takes square u8 pictures [N, H, H] and labels [N], {images.dtype} {list(images.shape)} and {list(labels.shape)} were given."
        )
    pictures = np.concatenate([np.rot90(images, k, (1, 2)) for k in range(4)])
    classes = np.concatenate([4 * labels.astype(np.int64) + k for k in range(4)])
    return torch.from_numpy(pictures).float() / 255, torch.from_numpy(classes)
