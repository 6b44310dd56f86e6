"""What is tuned, for every arm alike: the grid, the seeds, and the measure by which a point is chosen."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.seeds import EXPLORATORY_LIMIT, TUNING_FLOOR


@dataclass(frozen=True)
class Grid:
    """Values of one tuned setting, ascending; ``closed`` names the ends that are natural bounds, where an optimum is no edge."""

    values: tuple[float, ...]
    closed: Literal["none", "low", "high", "both"] = "none"

    def __post_init__(self) -> None:
        if len(self.values) < 2 or list(self.values) != sorted(set(self.values)):
            raise AtlasError(f"A tuning grid is at least two ascending values, {self.values} was given; sort it and drop repeats.")

    def at_edge(self, value: float) -> bool:
        """Say whether ``value`` is an end of the grid that is not a natural bound."""
        low, high = value == self.values[0], value == self.values[-1]
        return (low and self.closed not in ("low", "both")) or (high and self.closed not in ("high", "both"))


def points(grids: Mapping[str, Grid]) -> list[dict[str, float]]:
    """Give every point of the grids, the last axis fastest."""
    return [dict(zip(grids, values, strict=True)) for values in itertools.product(*(grid.values for grid in grids.values()))]


@dataclass(frozen=True)
class Tune:
    """One grid for every tuned arm, every point tried on the same ``seeds`` (all >= 1000), the best mean of ``on`` kept.

    ``arms`` are those whose settings are searched; ``follow`` lets an arm take another's choice (a yoked arm, a lesion); where a
    primary arm follows, ``why`` says why it has no search of its own.
    ``budget`` overrides settings of the tuned budget while searching. ``spread`` seeds, other than those of the search, measure the spread of the
    primary difference, from which the number of reporting seeds follows.
    """

    space: Mapping[str, Grid | tuple[float, ...] | list[float]]
    on: str
    arms: tuple[str, ...]
    follow: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    seeds: tuple[int, ...] = tuple(range(1000, 1003))
    spread: tuple[int, ...] = tuple(range(1100, 1110))
    budget: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grids(self) -> dict[str, Grid]:
        """The space with every axis as a ``Grid``."""
        return {name: axis if isinstance(axis, Grid) else Grid(tuple(axis)) for name, axis in self.space.items()}

    def __post_init__(self) -> None:
        if wrong := [seed for seed in (*self.seeds, *self.spread) if not TUNING_FLOOR <= seed < EXPLORATORY_LIMIT]:
            raise AtlasError(
                f"Tuning seeds lie between {TUNING_FLOOR} and {EXPLORATORY_LIMIT - 1}, {wrong[0]} was given; lower ones are for exploration, higher ones for reporting."
            )
        if set(self.seeds) & set(self.spread):
            raise AtlasError(
                "The spread is measured on seeds that the search did not see; make Tune(seeds=...) and Tune(spread=...) disjoint."
            )
        if len(self.spread) < 8:
            raise AtlasError(f"The spread needs at least 8 tuning seeds, {len(self.spread)} were given; add some to Tune(spread=...).")
