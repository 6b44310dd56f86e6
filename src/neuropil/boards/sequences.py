"""Sequence tasks for boards: spoken digits, digits row by row, Japanese vowels and the adding problem, one split a seed."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neuropil.atlas import Seed, Settings
from neuropil.data import Cochlea, draw_split, load


class Split(NamedTuple):
    """What is learned from and what is tested on: ``x`` [T, items, N], ``y`` classes i64 [items] or targets f32 [items]."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


def spoken_digits(budget: Settings, seed: Seed) -> Split:
    """Ten digits, six speakers, two of them unheard: cochlear spike counts [bins, clips, channels]; two to test, or one of the others to validate."""
    x, y, speakers = _cochlear(budget.channels, budget.bins, budget.bin, budget.every)
    order = seed.numpy("data").permutation(6)
    tested, heard = (order[2:3], order[3:]) if budget.get("validate") else (order[:2], order[2:])
    train, test = (torch.from_numpy(np.flatnonzero(np.isin(speakers, who))) for who in (heard, tested))
    return Split(x[:, train], y[train], x[:, test], y[test])


@lru_cache(maxsize=1)
def _cochlear(channels: int, bins: int, width: float, every: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """All clips (or every so many) through a cochlea, each as loud as any other, cut or followed by silence; digits; speakers."""
    data = load("fsdd")
    chosen = range(0, len(data.digit), every)
    clips = [data.audio[data.offsets[i] : data.offsets[i + 1]].astype(np.float64) for i in chosen]
    offsets = np.cumsum([0, *map(len, clips)])
    audio = np.concatenate([0.5 * clip / max(1.0, float(np.abs(clip).max())) for clip in clips])
    spikes = Cochlea(rate=int(data.rate), channels=channels).recordings(audio, offsets, bin=width, steps=bins)
    speakers = np.unique(data.speaker, return_inverse=True)[1]
    return torch.from_numpy(spikes), torch.from_numpy(data.digit[chosen]).long(), speakers[chosen]


def digits_by_row(budget: Settings, seed: Seed) -> Split:
    """MNIST, a row a moment, from the top: grey values [28, images, 28]; a fresh draw of training images, all 10,000 test images."""
    data = load("mnist")
    train, validation = draw_split(60_000, (budget.train, budget.validation), seed.numpy("data"))

    def rows(images: np.ndarray) -> Tensor:
        return torch.from_numpy(images).float().div(255).transpose(0, 1).contiguous()

    def labels(found: np.ndarray) -> Tensor:
        return torch.from_numpy(found).long()

    x, y = rows(data.train_images[train]), labels(data.train_labels[train])
    if budget.get("validate"):
        return Split(x, y, rows(data.train_images[validation]), labels(data.train_labels[validation]))
    return Split(x, y, rows(data.test_images), labels(data.test_labels))


def japanese_vowels(budget: Settings, seed: Seed) -> Split:
    """Nine speakers say /ae/: which of them? Twelve cepstral coefficients a frame [29, utterances, 12], silence before; a fresh split of all 640."""
    data = load("japanese_vowels")
    series = [data[f"{part}_series"][a:b] for part in ("train", "test") for a, b in pairwise(data[f"{part}_offsets"].tolist())]
    labels = np.concatenate([data.train_labels, data.test_labels])
    x = np.zeros((max(map(len, series)), len(series), series[0].shape[1]), np.float32)
    for i, one in enumerate(series):
        x[len(x) - len(one) :, i] = one
    train, test = draw_split(len(series), (budget.train, budget.test), seed.numpy("data"))
    if budget.get("validate"):
        train, test = train[: budget.train // 2], train[budget.train // 2 :]
    y = torch.from_numpy(np.unique(labels, return_inverse=True)[1])
    sound = torch.from_numpy(x)
    return Split(sound[:, train], y[train], sound[:, test], y[test])


def adding_problem(budget: Settings, seed: Seed) -> Split:
    """Sum the two marked numbers: values in [0, 1] and marks [steps, items, 2], one mark in each half; targets less their mean, 1 (hochreiter1997)."""
    generator, items, half = seed.numpy("data"), budget.train + budget.test, budget.steps // 2
    x = np.zeros((budget.steps, items, 2), np.float32)
    x[:, :, 0] = generator.random((budget.steps, items))
    marked = np.stack([generator.integers(0, half, items), generator.integers(half, budget.steps, items)])
    x[marked, np.arange(items), 1] = 1
    sequences, sums = torch.from_numpy(x), torch.from_numpy(x[marked, np.arange(items), 0].sum(0) - 1)
    return Split(sequences[:, : budget.train], sums[: budget.train], sequences[:, budget.train :], sums[budget.train :])


SEQUENCES = {
    "spoken-digits": spoken_digits,
    "digits-by-row": digits_by_row,
    "japanese-vowels": japanese_vowels,
    "adding-problem": adding_problem,
}
