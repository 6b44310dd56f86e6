"""Copying: vectors are shown, time passes, a signal comes, and all of them are asked for in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.data.checks import whole


class Copied(NamedTuple):
    """``x`` [T, items, channels] of 0 and 1; ``target`` [T, items, bits], what is asked for, 0 elsewhere; ``asked`` bool [T, items]: the moments that ask."""

    x: Tensor
    target: Tensor
    asked: Tensor


@dataclass(frozen=True)
class Copying:
    """The copy task: say again all vectors that were shown, in their order.

    A sequence shows ``length`` random vectors of ``bits`` 0 and 1, one a moment, with a channel that is 1 meanwhile; then ``gap`` silent moments; then one in which another channel alone is 1; then ``length`` silent moments, in which the
    vectors are asked for. Vector and answer lie ``length + gap + 1`` moments apart. Without a memory no bit is right more often than half the time. Channels are the bits, the channel of the vectors, and the signal.
    Source: graves2014. Differs from it in the gap, which lets distances occur that no short sequence has.

    Raises ``TypeError`` or ``ValueError`` for numbers that are not whole or too small, and for lengths and gaps of different shapes.
    """

    bits: int = 8

    def __post_init__(self) -> None:
        whole("bits", self.bits, 1)

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self.bits + 2

    def draw(self, length: Tensor, gap: Tensor, generator: torch.Generator, *, steps: int | None = None) -> Copied:
        """Draw a sequence for each ``length`` and ``gap``, i64 [items]; they take ``steps`` moments (default: what the longest needs), silent after their end."""
        if length.shape != gap.shape or length.ndim != 1 or int(length.min()) < 1 or int(gap.min()) < 0:
            raise ValueError(
                f"Lengths are 1 or more and gaps 0 or more, one of each for an item; lengths {list(length.shape)} and gaps {list(gap.shape)} were given, the least {int(length.min())} and {int(gap.min())}."
            )
        needed = int((2 * length + gap).max()) + 1
        steps = needed if steps is None else whole("steps", steps, needed)
        moment, signal = torch.arange(steps).unsqueeze(1), length + gap
        shown, asked = moment < length, (moment > signal) & (moment <= signal + length)
        vectors = torch.randint(2, (steps, len(length), self.bits), generator=generator).float() * shown.unsqueeze(2)
        x = torch.cat((vectors, shown.unsqueeze(2), (moment == signal).unsqueeze(2)), 2)
        back = (moment - signal - 1).clamp(min=0).unsqueeze(2).expand_as(vectors)
        return Copied(x, vectors.gather(0, back) * asked.unsqueeze(2), asked)
