"""What a spike does to the membrane potential that caused it.

Equations: soft ``v - spike * threshold``; hard ``v - spike * (v - value)``; none ``v``. Only ``v`` changes, never a current.
With ``detach`` no gradient flows through the spike of the reset (through ``v`` and ``threshold`` it does).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

Mode = Literal["soft", "hard", "none"]


@dataclass(frozen=True)
class Reset:
    """Reset after a spike: ``v = reset(v, spike, threshold)``, any shape, pointwise.

    ``mode``: ``"soft"`` subtracts the threshold, ``"hard"`` puts ``v`` to ``value``, ``"none"`` leaves it; ``detach``: the spike passes
    no gradient into the reset. Raises ``ValueError`` for another mode or a ``value`` that is not finite.
    """

    mode: Mode = "soft"
    detach: bool = False
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(f"A reset is 'soft', 'hard' or 'none', {self.mode!r} was given; 'soft' subtracts the threshold.")
        if not math.isfinite(self.value):
            raise ValueError(f"The value of a hard reset is finite, {self.value} was given; 0.0 is the rest of most cells.")

    @classmethod
    def of(cls, reset: Reset | Mode) -> Reset:
        """``reset`` itself, or the reset of that name (not detached, to 0)."""
        return reset if isinstance(reset, Reset) else cls(reset)

    def __call__(self, v: Tensor, spike: Tensor, threshold: Tensor | float) -> Tensor:
        """The potential after the reset."""
        if self.mode == "none":
            return v
        spike = spike.detach() if self.detach else spike
        return v - spike * (threshold if self.mode == "soft" else v - self.value)
