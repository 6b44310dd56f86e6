"""Folds of spoken digits by who said them: one speaker unheard, and of the others some clips kept back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neuropil.data.speech import SPEAKERS, SpokenDigits


class SpeakerFold(NamedTuple):
    """The clips of one fold, i64 each: ``train``; ``unheard``, all of a speaker who is not in train; ``known``, clips not in train of speakers who are."""

    train: Tensor
    unheard: Tensor
    known: Tensor


def speaker_folds(
    digits: SpokenDigits, generator: np.random.Generator, *, folds: int = SPEAKERS, validate: bool = False
) -> list[SpeakerFold]:
    """Split the clips by speaker: in fold k the k-th speaker, in an order drawn from ``generator``, is unheard, and as many clips as he has are kept back of the others.

    With ``validate`` another speaker is kept from training beside him and stands in for him as ``unheard``, so that settings may be chosen without hearing who is tested.
    Raises ``ValueError`` for no fold or more than there are speakers.
    """
    if not 1 <= folds <= SPEAKERS:
        raise ValueError(f"There are 1 to {SPEAKERS} folds, one a speaker at most, {folds!r} was given.")
    order, found = generator.permutation(SPEAKERS), []
    for fold in range(folds):
        unheard, *others = (int(speaker) for speaker in np.roll(order, -fold))
        if validate:
            unheard = others.pop()
        clips = digits.of(*others)
        clips = clips[torch.from_numpy(generator.permutation(len(clips)))]
        kept = len(digits.of(unheard))
        found.append(SpeakerFold(clips[kept:], digits.of(unheard), clips[:kept]))
    return found
