"""Pictures of digits drawn by a seed: disjoint training, validation and test sets on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neuropil.data.images import pool
from neuropil.data.loading import load
from neuropil.data.splits import draw_split

Part = tuple[Tensor, Tensor]


class Pictures(NamedTuple):
    """Three disjoint sets, each pictures f32 [N, side, side] and labels i64 [N]."""

    train: Part
    validation: Part
    test: Part


def draw_pictures(name: str, sizes: Sequence[int], generator: np.random.Generator, side: int | None = None) -> Pictures:
    """Draw ``sizes`` training, validation and test pictures of ``"mnist"`` or ``"digits"``, ``y = (x - m) / s`` with mean and deviation of all drawn training pixels.

    MNIST: training and validation pictures from its training set, test pictures from its test set. Digits: all from its one pool. ``side``: pooled to ``side x side`` (None: as they are).
    Raises ``ValueError`` for other names, another number of sizes, and sizes that a set does not hold.
    """
    if name not in ("mnist", "digits") or len(sizes) != 3:
        raise ValueError(f"draw_pictures takes 'mnist' or 'digits' and three sizes, {name!r} and {list(sizes)} were given.")
    data = load(name)
    if name == "mnist":
        sources = [(data.train_images, data.train_labels, sizes[:2]), (data.test_images, data.test_labels, sizes[2:])]
    else:
        sources = [(data.images, data.labels, sizes)]
    parts: list[Part] = []
    for images, labels, counts in sources:
        for chosen in draw_split(len(images), counts, generator):
            small = images[chosen] if side is None or side == images.shape[-1] else pool(images[chosen], side)
            parts.append((torch.from_numpy(small.astype(np.float32)), torch.from_numpy(labels[chosen].astype(np.int64))))
    mean, deviation = parts[0][0].mean(), parts[0][0].std()
    return Pictures(*(((x - mean) / deviation, y) for x, y in parts))
