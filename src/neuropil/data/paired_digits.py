"""Spoken and written digits, paired by class: the same thing heard and seen."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neuropil.data.images import pool
from neuropil.data.loading import load
from neuropil.data.speech import spoken_digits


class Views(NamedTuple):
    """Items of one modality: features f32 [N, F] and classes i64 [N]."""

    x: Tensor
    label: Tensor


@lru_cache(maxsize=2)
def spoken_views(channels: int = 16, bins: int = 8, bin: float = 0.075) -> tuple[Views, Views, Views]:
    """Clips of ``spoken_digits`` to train on (2,400), validate (takes 5 to 9, 300) and test (takes 0 to 4, the data set's own 300), of all speakers in each.

    Spikes of 20 fibres a channel in ``bins`` of ``bin`` seconds: features are square roots of counts, [N, bins * channels], time-major, mean 0 and variance 1 over the training clips.
    """
    found = spoken_digits(channels=channels, bins=bins, bin=bin, max_rate=4000.0)
    x = found.x.movedim(0, 1).flatten(1).sqrt()
    take = torch.from_numpy(load("fsdd").take.astype(np.int64))
    parts = (take >= 10, (take >= 5) & (take < 10), take < 5)
    x = (x - x[parts[0]].mean(0)) / x[parts[0]].std(0).clamp(min=1e-6)
    train, validation, test = (Views(x[part], found.digit[part]) for part in parts)
    return train, validation, test


@lru_cache(maxsize=2)
def written_views(side: int = 7) -> tuple[Views, Views]:
    """Training and test images of ``load("mnist")``, averaged to ``side`` x ``side``: features [N, side^2], mean 0 and variance 1 over all numbers of the training images."""
    data = load("mnist")

    def views(images: np.ndarray, labels: np.ndarray) -> Views:
        return Views(torch.from_numpy(pool(images, side)).float().flatten(1), torch.from_numpy(labels).long())

    train, test = views(data.train_images, data.train_labels), views(data.test_images, data.test_labels)
    mean, spread = train.x.mean(), train.x.std()
    return train._replace(x=(train.x - mean) / spread), test._replace(x=(test.x - mean) / spread)


def pair_by_class(one: Tensor, other: Tensor, generator: torch.Generator, *, repeats: int = 1) -> tuple[Tensor, Tensor]:
    """Give every item of one view ``repeats`` partners of its class from the other, drawn with replacement.

    Classes i64 [N] and [M] -> indices i64 [N * repeats] into either. Raises ``ValueError`` where a class of the first has no item in the other.
    """
    first = torch.arange(len(one)).repeat(repeats)
    second = torch.empty_like(first)
    for label in one.unique().tolist():
        wanted, there = (one[first] == label).nonzero()[:, 0], (other == label).nonzero()[:, 0]
        if not len(there):
            raise ValueError(f"The class {label} is in the first view and not in the second; give views of the same classes.")
        second[wanted] = there[torch.randint(len(there), (len(wanted),), generator=generator)]
    return first, second
