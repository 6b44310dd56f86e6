"""Streams of tasks for boards: digits permuted, rotated, split and in few-shot sessions, and spoken digits speaker by speaker; one split a seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.atlas import Seed, Settings
from neuropil.data import (
    FewShotSessions,
    PermutedStream,
    RotatedStream,
    SpeakerStream,
    SplitStream,
    TaskStream,
    load,
    pool,
    speaker_labels,
    spoken_digits,
)
from neuropil.data.task_streams import Setting, Task

ANGLES = (0.0, 36.0, 72.0, 108.0, 144.0)
BASE, WAYS, SHOTS = 4, 2, 5
"""Few-shot sessions: classes that are learned first, classes of every later session, and pictures of each of these."""
LOUD = 3.0
"""Spikes of a channel and bin that count as 1."""


class Stream(NamedTuple):
    """Tasks to learn, ``tasks[k]``, and ``test(k)``, the same task of examples that are not learned from."""

    tasks: TaskStream
    test: Callable[[int], Task]


def stream(name: str, setting: Setting | str, budget: Settings, seed: Seed) -> Stream:
    """Draw a seed's stream ``name``; while searching (``validate``), others are the test, which are never learned from, so that what is searched learns as long as what is measured."""
    x, y = _spoken(budget) if name == "speakers" else _mnist() if name == "mnist" else _digits()
    train, test = _split(y, budget, seed)
    test_x, test_y, x, y = x[test], y[test], x[train], y[train]
    generator = seed.numpy("stream")
    made: TaskStream
    if name == "permuted":
        made = PermutedStream(x, y, tasks=len(ANGLES), setting=setting, generator=generator)
    elif name == "rotated":
        made = RotatedStream(x, y, angles=ANGLES, setting=setting)
    elif name == "sessions":
        made = FewShotSessions(x, y, base=BASE, ways=WAYS, shots=SHOTS, setting=setting, generator=generator)
    elif name == "speakers":
        made = SpeakerStream(x, y, setting=setting, generator=generator)
    else:
        made = SplitStream(x, y, per_task=2, setting=setting, generator=generator)
    return Stream(made, lambda k: made.at(k, test_x, test_y))


def _digits() -> tuple[Tensor, Tensor]:
    """Pictures [1797, 8, 8] of the digits, from 0 to 1, and which they are."""
    data = load("digits")
    return torch.from_numpy(data.images).float() / 16, torch.from_numpy(data.labels).long()


@lru_cache(maxsize=1)
def _mnist() -> tuple[Tensor, Tensor]:
    """Pictures [60000, 14, 14] of MNIST's training set, from 0 to 1, and which they are."""
    data = load("mnist")
    return torch.from_numpy(pool(data.train_images, 14)).float() / 255, torch.from_numpy(data.train_labels).long()


def _spoken(budget: Settings) -> tuple[Tensor, Tensor]:
    """Clips [clips, bins, channels] of a cochlea, and of each ten times its speaker plus its digit."""
    said = spoken_digits(channels=budget.channels, bins=budget.bins, bin=budget.bin, every=budget.every)
    return said.x.transpose(0, 1) / LOUD, speaker_labels(said)


def _split(y: Tensor, budget: Settings, seed: Seed) -> tuple[Tensor, Tensor]:
    """Draw examples to learn from and, of each label as many, to be tested on, or those held back for validation; both i64, in random order."""
    (_, tests), held, generator = budget.resplit, budget.validation, seed.torch("data")
    total = sum(budget.resplit) + held
    order = torch.randperm(len(y), generator=generator)[:total]
    parts = [own.tensor_split([round(tests / total * len(own))]) for own in (order[y[order] == label] for label in y.unique())]
    test, train = (torch.cat(part)[torch.randperm(sum(map(len, part)), generator=generator)] for part in zip(*parts, strict=True))
    return train[:-held], train[-held:] if budget.get("validate") else test
