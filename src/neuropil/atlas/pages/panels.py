"""What the figures of studies share: transparent panels that read on light and dark pages, dots a seed, a line an arm, accuracy matrices, and averages of curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.outcome import Curve, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "0.5"
"""Matplotlib's middle grey, for axes, words and reference lines: legible on white and on near-black."""
MATRICES = (
    "One seed. A row is the state after a task, a column the task tested: down a column a task is forgotten, along the diagonal it is learned. "
    "Above a panel: the mean of the last row, the final average accuracy."
)
"""The caption of ``accuracy_matrices``."""


def panels(*widths: float, height: float = 3.6, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels side by side, as wide as a page (10 inches), with relative ``widths``; ``rows`` of them, listed row by row.

    Background transparent, axes and words grey, no frame at the top and right. Raises ``AtlasError`` without a width.
    """
    if not widths or rows < 1:
        raise AtlasError(
            f"panels() needs a width a panel and a row at least, {widths} and {rows} were given; write panels(1, 1) for two equal ones."
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes: list[Axes] = list(figure.subplots(rows, len(widths), width_ratios=widths, squeeze=False).ravel())
    for ax in axes:
        ax.patch.set_alpha(0)
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(GREY)
        ax.tick_params(colors=GREY)
        for words in (ax.xaxis.label, ax.yaxis.label, ax.title):
            words.set_color(GREY)
    return figure, axes


def dots(ax: Axes, values: Mapping[str, Sequence[float]], colours: Mapping[str, str], names: Mapping[str, str] | None = None) -> None:
    """Draw a row an arm, in the order of ``values``: a dot a seed, and a bar at their mean.

    Rows are named by ``names``, or by the arm with spaces for underscores; a name of ``""`` leaves a row unnamed.
    Raises ``AtlasError`` where an arm has no value or no colour.
    """
    for place, (arm, row) in enumerate(values.items()):
        if not row or arm not in colours:
            raise AtlasError(f"dots() needs a value and a colour for every arm, {arm!r} has {len(row)} values; give both.")
        spread = [0.4 * (k / (len(row) - 1) - 0.5) if len(row) > 1 else 0.0 for k in range(len(row))]
        ax.scatter(row, [place + shift for shift in spread], s=13, color=colours[arm], alpha=0.7, lw=0)
        ax.vlines(math.fsum(row) / len(row), place - 0.35, place + 0.35, color=colours[arm], lw=2)
    ax.set_yticks(range(len(values)), [(names or {}).get(arm, arm.replace("_", " ")) for arm in values])
    ax.set_ylim(len(values) - 0.4, -0.6)


def lines(
    ax: Axes, curves: Mapping[str, Sequence[Curve]], colours: Mapping[str, str], names: Mapping[str, str] | None = None, **style: Any
) -> None:
    """Draw a line an arm, the mean of its ``curves``, and label the axes as they say.

    A legend finds lines by ``names``, or by the arm with spaces for underscores; ``style`` is Matplotlib's, ``marker="o"`` for one.
    Raises ``AtlasError`` where an arm has no curve, curves that differ in ``x``, or no colour.
    """
    for arm, row in curves.items():
        if arm not in colours:
            raise AtlasError(f"lines() needs a colour for every arm, {arm!r} has none; give one.")
        mean = mean_curve(row)
        ax.plot(mean.x, mean.y, color=colours[arm], label=(names or {}).get(arm, arm.replace("_", " ")), **{"lw": 1.6, "ms": 3, **style})
        ax.set(xlabel=mean.x_label, ylabel=mean.y_label)


def accuracy_matrices(
    table: Table, arms: Sequence[str], colours: Mapping[str, str], matrix: str = "accuracy_matrix", floor: float = 0.0
) -> Figure:
    """Draw a panel for each of ``arms`` that ran, as ``MATRICES`` says: the accuracy [T, T] of its first seed, of the tasks learned by then, under the name ``matrix``.

    The deeper an arm's colour, the nearer to 1; there is none at ``floor``. Numbers are written in where there are five tasks or fewer.
    Raises ``AtlasError`` for a matrix that is not square, an arm without a colour, or a floor outside [0, 1).
    """
    accuracies = {arm: table.matrix(arm, matrix).values for arm in arms if arm in table.arms}
    figure, axes = panels(*[1] * len(accuracies), height=0.7 + 10 / max(4, len(accuracies)))
    for ax, (arm, accuracy) in zip(axes, accuracies.items(), strict=True):
        if arm not in colours or any(len(row) != len(accuracy) for row in accuracy) or not 0 <= floor < 1:
            raise AtlasError(
                f"accuracy_matrices() takes a colour and a row and a column a task of every arm, over a floor in [0, 1); {arm!r} has {accuracy}, the floor is {floor}."
            )
        _accuracy_matrix(ax, accuracy, colours[arm], floor)
        ax.set_title(f"{arm.replace('_', ' ')}: {math.fsum(accuracy[-1]) / len(accuracy):.3f}", fontsize=10, color=GREY)
    axes[0].set_ylabel("after task")
    return figure


def _accuracy_matrix(ax: Axes, accuracy: Sequence[Sequence[float]], colour: str, floor: float) -> None:
    from matplotlib.colors import to_rgb

    tasks = len(accuracy)
    shades = [[max(0.0, (value - floor) / (1 - floor)) ** 2 * (j <= i) for j, value in enumerate(row)] for i, row in enumerate(accuracy)]
    ax.imshow([[(*to_rgb(colour), min(1.0, shade)) for shade in row] for row in shades])
    for i in range(tasks if tasks <= 5 else 0):
        for j in range(i + 1):
            ink = "white" if shades[i][j] > 0.5 else GREY
            ax.text(j, i, f"{accuracy[i][j]:.2f}".lstrip("0"), ha="center", va="center", fontsize=8, color=ink)
    ticks = range(0, tasks, 1 + tasks // 7)
    ax.set_xticks(ticks, [str(k + 1) for k in ticks])
    ax.set_yticks(ticks, [str(k + 1) for k in ticks])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_xlabel("accuracy on task")


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Average curves that share their ``x``, one a seed. Raises ``AtlasError`` where there is none or their ``x`` differ."""
    if not curves or any(curve.x != curves[0].x for curve in curves):
        raise AtlasError(
            f"Only curves with the same x can be averaged, {len(curves)} that differ or none were given; average them on one grid."
        )
    first = curves[0]
    return Curve(first.x, [math.fsum(y) / len(y) for y in zip(*(curve.y for curve in curves), strict=True)], first.x_label, first.y_label)
