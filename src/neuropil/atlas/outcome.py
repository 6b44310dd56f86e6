"""What a trial returns and how many trials are read together: numbers, curves and matrices, by arm and seed."""

from __future__ import annotations

import contextlib
import itertools
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuropil.atlas.errors import AtlasError


@dataclass(frozen=True)
class Curve:
    """One series: ``y`` against ``x``, each a list of numbers of the same length, with the names of the axes."""

    x: Sequence[float]
    y: Sequence[float]
    x_label: str
    y_label: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", [float(v) for v in self.x])
        object.__setattr__(self, "y", [float(v) for v in self.y])
        if len(self.x) != len(self.y) or not self.x:
            raise AtlasError(f"A curve needs as many x as y and at least one, {len(self.x)} and {len(self.y)} were given.")
        if not all(map(math.isfinite, (*self.x, *self.y))):
            raise AtlasError(f"A curve of {self.y_label!r} against {self.x_label!r} holds NaN or infinity; leave those points out.")

    @classmethod
    def coarse(cls, series: Sequence[float], x_label: str, y_label: str, points: int = 20) -> Curve:
        """Draw a long ``series``, one value a step, by the means of ``points`` stretches as equal as can be (of each value, if it is shorter), against the steps that have passed.

        Raises ``AtlasError`` for an empty series, and for no points.
        """
        if not series or points < 1:
            raise AtlasError(f"A coarse curve needs a value and a point at least, {len(series)} and {points} were given.")
        count = min(points, len(series))
        size, more = divmod(len(series), count)
        ends = [size * k + min(k, more) for k in range(count + 1)]
        means = [math.fsum(series[a:b]) / (b - a) for a, b in itertools.pairwise(ends)]
        return cls([len(series) * (k + 1) / count for k in range(count)], means, x_label, y_label)


@dataclass(frozen=True)
class Matrix:
    """A table of numbers for a picture, rows by columns; kept for the first seed of a run only, to keep results small."""

    values: Sequence[Sequence[float]]
    row_label: str
    column_label: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", [[float(v) for v in row] for row in self.values])
        if len({len(row) for row in self.values}) != 1 or not all(math.isfinite(v) for row in self.values for v in row):
            raise AtlasError("A matrix needs rows of one length, at least one row, and finite numbers.")


Outcome = Mapping[str, float | Curve | Matrix]


def encode(outcome: Outcome) -> dict[str, Any]:
    """Turn an outcome into plain JSON data: exact floats, the kind of every entry named; raises ``AtlasError`` for what is neither."""
    if not isinstance(outcome, Mapping):
        raise AtlasError(f"A trial returns a mapping from names to numbers, curves and matrices, a {type(outcome).__name__} came back.")
    plain: dict[str, Any] = {}
    for name, value in outcome.items():
        if not isinstance(name, str):
            raise AtlasError(f"A trial returned a metric named {name!r}, a {type(name).__name__}; name it with a text.")
        if isinstance(value, Curve):
            plain[name] = {"curve": [list(value.x), list(value.y)], "labels": [value.x_label, value.y_label]}
        elif isinstance(value, Matrix):
            plain[name] = {
                "matrix": [list(row) for row in value.values],
                "labels": [value.row_label, value.column_label],
            }
        else:
            number = _number(name, value)
            plain[name] = number if math.isfinite(number) else {"float": repr(number)}
    return plain


def _number(name: str, value: Any) -> float:
    """Read one number: Python's, NumPy's, an array or tensor of one element; true is 1."""
    shape = getattr(value, "shape", None)
    came = f"of shape {tuple(shape)}" if shape else repr(str(value)[:40])
    single = value.item() if shape is not None and math.prod(shape) == 1 else value
    if isinstance(single, numbers.Real):
        with contextlib.suppress(OverflowError):
            return float(single)
    raise AtlasError(
        f"A trial returned a {type(value).__name__} under {name!r} ({came}); return one real number (an array or tensor of one will do), a Curve or a Matrix."
    )


def decode(plain: Mapping[str, Any]) -> dict[str, float | Curve | Matrix]:
    """Turn what ``encode`` wrote back into an outcome, equal to the original."""
    outcome: dict[str, float | Curve | Matrix] = {}
    for name, value in plain.items():
        if isinstance(value, Mapping):
            if "curve" in value:
                outcome[name] = Curve(value["curve"][0], value["curve"][1], *value["labels"])
            elif "matrix" in value:
                outcome[name] = Matrix(value["matrix"], *value["labels"])
            else:
                outcome[name] = float(value["float"])
        else:
            outcome[name] = float(value)
    return outcome


class Table:
    """Outcomes by arm and seed: what contrasts, checks and figures read."""

    def __init__(self, seeds: Sequence[int], arms: Mapping[str, Sequence[Outcome]]) -> None:
        self.seeds = list(seeds)
        self.outcomes = {arm: list(rows) for arm, rows in arms.items()}
        for arm, rows in self.outcomes.items():
            if len(rows) != len(self.seeds):
                raise AtlasError(
                    f"The arm {arm!r} has {len(rows)} outcomes for {len(self.seeds)} seeds; arms are paired, run the missing seeds."
                )

    @property
    def arms(self) -> list[str]:
        """The arms that were run, in the study's order."""
        return list(self.outcomes)

    def values(self, arm: str, metric: str) -> list[float]:
        """One number a seed; an error names what the trial did not return, or returned as NaN."""
        if arm not in self.outcomes:
            raise AtlasError(f"The arm {arm!r} was not run; run were {', '.join(self.outcomes)}.")
        values: list[float] = []
        for seed, row in zip(self.seeds, self.outcomes[arm], strict=True):
            value = row.get(metric)
            if value is None:
                raise AtlasError(f"The trial of arm {arm!r} returned no {metric!r} (seed {seed}); it returned {', '.join(row)}.")
            if not isinstance(value, int | float):
                raise AtlasError(
                    f"{metric!r} of arm {arm!r} is a {type(value).__name__.lower()}, and a number is needed here; return a number under that name."
                )
            if math.isnan(value):
                raise AtlasError(
                    f"{metric!r} of arm {arm!r} is NaN at seed {seed}; a metric is a number: mend the trial, or return inf for a run that never got there."
                )
            values.append(float(value))
        return values

    def mean(self, arm: str, metric: str) -> float:
        """The mean over seeds."""
        values = self.values(arm, metric)
        return math.fsum(values) / len(values)

    def curves(self, arm: str, name: str) -> list[Curve]:
        """One curve a seed."""
        found = [row.get(name) for row in self.outcomes[arm]]
        if not all(isinstance(curve, Curve) for curve in found):
            raise AtlasError(f"The arm {arm!r} has no curve {name!r} at every seed.")
        return [curve for curve in found if isinstance(curve, Curve)]

    def matrix(self, arm: str, name: str) -> Matrix:
        """The matrix of the first seed."""
        found = self.outcomes[arm][0].get(name)
        if not isinstance(found, Matrix):
            raise AtlasError(f"The arm {arm!r} has no matrix {name!r}.")
        return found

    def numbers(self, arm: str) -> list[str]:
        """The names of the numeric metrics that every seed of the arm returned."""
        rows = self.outcomes[arm]
        return [name for name, value in rows[0].items() if isinstance(value, int | float) and all(name in row for row in rows)]
