"""Metrics and contrasts: which arm should be better than which, on what, by how much, and what is held equal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.expressions import Condition

Kind = Literal["mean", "success", "steps", "time", "exact"]


@dataclass(frozen=True)
class Metric:
    """What a trial measures under one name.

    ``kind`` decides the statistics: ``mean`` paired t; ``success`` 0 or 1 a seed, exact McNemar; ``steps`` and ``time`` logarithms, censored
    ranks where a run never got there (return ``inf``); ``exact`` deterministic, no p-value. ``better`` is the direction of benefit.
    ``floor`` and ``ceiling`` are the worst and best possible values, if there are any. ``cap`` is the number of steps or the time at which a run
    that never got there was stopped (a number, or the name of a setting of the budget); without it ``inf`` is refused. ``house`` names the row of the house table of
    smallest differences that a contrast on this metric may not go below (``neuropil.atlas.statistics.house``), where the metric's own name has none.
    """

    units: str
    kind: Kind = "mean"
    better: Literal["higher", "lower"] = "higher"
    floor: float | None = None
    ceiling: float | None = None
    label: str = ""
    house: str = ""
    cap: float | str | None = None

    def at(self, budget: Mapping[str, Any]) -> Metric:
        """The metric with its cap read from the budget, where it names a setting of it."""
        return replace(self, cap=float(budget[self.cap])) if isinstance(self.cap, str) else self

    def __post_init__(self) -> None:
        if self.kind not in ("mean", "success", "steps", "time", "exact"):
            raise AtlasError(f"A metric's kind is mean, success, steps, time or exact, {self.kind!r} was given; choose one of these.")
        if self.better not in ("higher", "lower"):
            raise AtlasError(f"A metric is better when 'higher' or 'lower', {self.better!r} was given; choose one of these.")


@dataclass(frozen=True)
class Match:
    """A quantity that a contrast holds equal: the arms' mean ``metric`` may differ by at most ``within`` (absolute) or ``ratio`` (a share)."""

    metric: str
    within: float | None = None
    ratio: float | None = None

    def __post_init__(self) -> None:
        if (self.within is None) == (self.ratio is None):
            raise AtlasError(f"Match({self.metric!r}) needs exactly one of within= or ratio=, both or neither were given; give one.")

    def __str__(self) -> str:
        return f"{self.metric} within {self.within:g}" if self.within is not None else f"{self.metric} within {self.ratio:.0%}"


MATCHES = {
    "parameters": Match("parameters", ratio=0.05),
    "compute": Match("steps", ratio=0.0),
    "data": Match("samples", ratio=0.0),
}
"""What the house means by match="parameters" | "compute" | "data": metrics of these names that every trial of both arms returns."""


@dataclass(frozen=True)
class Contrast:
    """Arm ``a`` against arm ``b`` on one metric, in one direction, with ``delta`` the smallest difference that matters.

    The benefit of a seed is ``a - b`` where higher is better, ``b - a`` where lower is. For ``steps`` and ``time`` it is ``log(b / a)`` (or
    the reverse) and ``delta`` is a ratio above 1. ``relation="equal"`` claims that the two do not differ by ``delta``.
    ``match`` names what is held equal (``"parameters"``, ``"compute"``, ``"data"``, a ``Match``, or a tuple of these); ``None`` needs ``why``.
    ``gate`` are conditions on arm means (as in ``Gate``) under which this contrast can show its effect; where one fails its word is *undecided*.
    """

    a: str
    b: str
    on: str
    delta: float
    match: str | Match | tuple[str | Match, ...] | None = None
    why: str = ""
    relation: Literal["greater", "equal"] = "greater"
    gate: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.a == self.b:
            raise AtlasError(f"A contrast compares two arms, {self.a!r} was given twice; name two different arms.")
        if not (isinstance(self.delta, int | float) and math.isfinite(self.delta) and self.delta > 0):
            raise AtlasError(
                f"The contrast {self.a} against {self.b} needs a positive delta, {self.delta!r} was given; say how small a difference still matters."
            )
        if self.match is None and not self.why:
            raise AtlasError(
                f"The contrast {self.a} against {self.b} holds nothing equal and gives no reason; set match= to what is matched, or why= to why nothing can be."
            )
        for item in self.matches_as_given:
            if isinstance(item, str) and item not in MATCHES:
                raise AtlasError(
                    f"match={item!r} is not known; accepted are {', '.join(MATCHES)}, a Match(metric, within=...), or None with why=."
                )
        for condition in self.gate:
            Condition(condition)

    @property
    def matches_as_given(self) -> tuple[str | Match, ...]:
        """What was declared, always as a tuple."""
        if self.match is None:
            return ()
        return self.match if isinstance(self.match, tuple) else (self.match,)

    @property
    def matches(self) -> tuple[Match, ...]:
        """What was declared, resolved to measured quantities."""
        return tuple(MATCHES[item] if isinstance(item, str) else item for item in self.matches_as_given)

    def swapped(self) -> Contrast:
        """The same contrast read the other way round."""
        return Contrast(self.b, self.a, self.on, self.delta, self.match, self.why, self.relation, self.gate)

    def __str__(self) -> str:
        sign = ">" if self.relation == "greater" else "~"
        return f"{self.a} {sign} {self.b} on {self.on} by {self.delta:g}"


_CLAIM = re.compile(r"^\s*(?P<arms>[\w\s>~.-]+?)\s+on\s+(?P<metric>\w+)(?:\s+by\s+(?P<delta>[0-9.eE+-]+))?\s*$")


def contrasts(text: str, *, match: str | Match | tuple[str | Match, ...] | None = None, why: str = "") -> tuple[Contrast, ...]:
    """Read ``"a > b > c on accuracy by 0.02"`` (neighbours compared) or ``"a ~ b on accuracy by 0.02"`` (no difference of 0.02).

    Raises ``AtlasError`` for ``>>``, for ``near``, and for anything without a number.
    """
    if ">>" in text or re.search(r"\bnear\b", text):
        raise AtlasError(f"{text!r} has no defined margin: '>>' and 'near' are not accepted; write 'a > b on metric by 0.02'.")
    found = _CLAIM.match(text)
    if not found or found["delta"] is None:
        raise AtlasError(
            f"{text!r} names no margin; write 'a > b on metric by 0.02' or 'a ~ b on metric by 0.02', the margin in the metric's units."
        )
    parts = re.split(r"\s*([>~])\s*", found["arms"].strip())
    arms, signs = parts[::2], parts[1::2]
    if len(arms) < 2 or not all(re.fullmatch(r"[\w.-]+", arm) for arm in arms):
        raise AtlasError(f"{text!r} does not compare two arms; write 'a > b on metric by 0.02'.")
    return tuple(
        Contrast(a, b, found["metric"], float(found["delta"]), match, why, "greater" if sign == ">" else "equal")
        for a, sign, b in zip(arms, signs, arms[1:], strict=False)
    )
