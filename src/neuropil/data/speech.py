"""Free Spoken Digits as spikes of a cochlea, for sequence tasks: which digit, or which sum of two, is said by a speaker never heard before."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neuropil.data.checks import whole
from neuropil.data.cochlea import Cochlea
from neuropil.data.loading import load

SPEAKERS = 6
SUMS = 19
"""How many sums two digits have: 0 to 18, of which 9 is the commonest, one pair in ten."""


class SpokenDigits(NamedTuple):
    """``x`` spike counts f32 [T, clips, channels]; ``digit`` and ``speaker`` i64 [clips]: 0 to 9, and 0 to 5 in the order of their names."""

    x: Tensor
    digit: Tensor
    speaker: Tensor

    def of(self, *speakers: int) -> Tensor:
        """The clips of these speakers, i64, in order."""
        return torch.nonzero(torch.isin(self.speaker, torch.tensor(speakers)))[:, 0]


class DigitSums(NamedTuple):
    """Two clips one after the other: ``x`` [2 T, n, channels] and the sum of their digits, i64 [n]."""

    x: Tensor
    y: Tensor


@lru_cache(maxsize=2)
def spoken_digits(*, channels: int = 20, bins: int = 30, bin: float = 0.02, max_rate: float = 200.0, every: int = 1) -> SpokenDigits:
    """Load the data set ``fsdd`` through a ``Cochlea``: every clip (or every so many) as loud as any other, cut or followed by silence to ``bins`` bins of ``bin`` seconds.

    ``max_rate``: spikes a second of a channel at full drive, 200 those of one fibre, 1,000 those of five. What it returned before under the same arguments it returns again; do not write into it. Raises ``ValueError`` for sizes below 1, ``DataError`` where the data
    are not here or scipy is missing. Data: jackson2018.
    """
    whole("every", every, 1)
    data = load("fsdd")
    chosen = range(0, len(data.digit), every)
    spans = list(pairwise(data.offsets.tolist()))
    clips = [data.audio[start:end].astype(np.float64) for start, end in spans[::every]]
    audio = np.concatenate([0.5 * clip / max(1.0, float(np.abs(clip).max())) for clip in clips])
    offsets = np.cumsum([0, *map(len, clips)])
    spikes = Cochlea(rate=int(data.rate), channels=channels, max_rate=max_rate).recordings(audio, offsets, bin=bin, steps=bins)
    speakers = np.unique(data.speaker, return_inverse=True)[1]
    return SpokenDigits(
        *(torch.from_numpy(array) for array in (spikes, data.digit[chosen].astype(np.int64), speakers[chosen].astype(np.int64)))
    )


def pair_up(clips: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw ``n`` pairs i64 [n, 2] of ``clips`` i64 [K]: first members without replacement as long as there are clips left, so that all are used as often, and second members likewise."""
    whole("n", n, 1)
    if not len(clips):
        raise ValueError("pair_up was given no clips to pair; give one or more.")
    rounds = -(-n // len(clips))
    return torch.stack(
        [clips[torch.cat([torch.randperm(len(clips), generator=generator) for _ in range(rounds)])[:n]] for _ in range(2)], 1
    )


def digit_sums(digits: SpokenDigits, pairs: Tensor) -> DigitSums:
    """Put the clips of each pair [..., 2] one after the other and ask for the sum of their digits: x [2 T, ..., channels], y [...]. Source: spieler2024 (SHD-Adding)."""
    return DigitSums(torch.cat([digits.x[:, pairs[..., 0]], digits.x[:, pairs[..., 1]]]), digits.digit[pairs].sum(-1))
