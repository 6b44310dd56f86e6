"""The evidence a verdict needs besides its numbers: dose, gate, lesion, and an off switch."""

from __future__ import annotations

from dataclasses import dataclass

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.expressions import Condition


@dataclass(frozen=True)
class Dose:
    """Proof that the mechanism acted: the mean of ``metric`` over seeds in the arm (the primary mechanism unless named) is ``at_least`` so much."""

    metric: str
    at_least: float
    arm: str | None = None


@dataclass(frozen=True)
class Gate:
    """Proof that the assay can show the effect: every condition on arm means holds, e.g. ``"best.accuracy - untrained.accuracy >= 0.1"``."""

    text: str
    conditions: tuple[Condition, ...]

    def __init__(self, text: str, *conditions: str) -> None:
        if not conditions:
            raise AtlasError(f"Gate({text!r}) has no condition; add at least one such as 'constant.accuracy >= 0.3'.")
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "conditions", tuple(Condition(c) for c in conditions))


@dataclass(frozen=True)
class Lesion:
    """Proof that what acts is the mechanism: knocking it out in ``arm`` costs ``on`` (the primary metric unless named) by ``at_least`` on the mean.

    ``on`` may be the variable that the mechanism is meant to move, so that a null can still be audited; a *supported* verdict
    additionally needs the lesion to cost on the primary metric itself.
    """

    arm: str
    on: str | None = None
    at_least: float = 0.0


@dataclass(frozen=True)
class Off:
    """At strength 0 the mechanism is its control: ``arm`` and ``equals`` agree on every metric they share, to rounding, in a smoke run."""

    arm: str
    equals: str
