"""Branching: how many spikes a spike causes; below 1 activity dies out, above 1 it explodes, and a critical network is at 1."""

from __future__ import annotations

import torch
from torch import Tensor


def branching_parameter(activity: Tensor, lags: int) -> float:
    """Estimate the branching parameter ``m`` of a driven, perhaps subsampled network from how slowly its activity forgets.

    Equation: ``r_k``, the slope of the regression of ``A(t + k)`` on ``A(t)``, falls as ``b m^k`` for a branching process ``E A(t + 1) = m A(t) + h``, whatever the drive ``h``, and with ``b < 1`` where only a share of the
    cells is seen; ``log r_k`` is fitted by a line in ``k`` with weights ``r_k^2``, over the lags before the first ``r_k`` that is not positive.
    ``activity`` [T] or [R, T], spikes of all cells in a step, in R repetitions of one mean; ``lags``: at least 2. Raises ``ValueError`` for other shapes, too few steps, activity that never changes or of which less than two ``r_k`` are positive. Source: wilting2018.
    """
    if activity.ndim not in (1, 2) or lags < 2 or activity.shape[-1] < lags + 2:
        raise ValueError(
            f"branching_parameter takes activity [T] or [R, T] of more than {lags + 1} steps and 2 lags or more, {list(activity.shape)} and {lags} lags were given."
        )
    a = activity.double().reshape(-1, activity.shape[-1])
    a = a - a.mean()
    slopes = torch.stack([(a[:, k:] * a[:, :-k]).mean() for k in range(1, lags + 1)]) / a.square().mean()
    usable = int((slopes > 0).long().cumprod(0).sum())
    if usable < 2:
        raise ValueError(
            f"The activity does not remember itself: {usable} of its first {lags} slopes are above 0, 2 are needed; give longer or more activity."
        )
    k, log, weight = torch.arange(1.0, usable + 1, dtype=torch.float64), slopes[:usable].log(), slopes[:usable].square()
    weight = weight / weight.sum()
    k = k - (weight * k).sum()
    return float(((weight * k * log).sum() / (weight * k * k).sum()).exp())


def branching_factor(spikes: Tensor, connected: Tensor, *, window: int = 4, margin: int = 0) -> float:
    """Count the spikes after and before each spike among the cells it is wired to: the mean ratio of descendants to ancestors.

    Equation: for a spike of cell ``i`` at ``t``, descendants are spikes of its targets in ``t + 1 .. t + window``, ancestors those of its sources in ``t - window .. t - 1``, at least 1 being counted; the ratio is averaged over the
    spikes of a cell, then over the cells that fired, then over samples. Where avalanches do not meet it is the branching parameter; where the network is driven or dense it is not (see ``branching_parameter``).
    ``spikes`` [S, T, M] of 0 and 1; ``connected`` [M, M], rows being targets; ``margin``: steps left out at either end, besides the window. NaN where no cell fired. Raises ``ValueError`` for shapes that do not fit. Source: ivanov2021 and its code.
    """
    if spikes.ndim != 3 or connected.shape != (spikes.shape[-1],) * 2 or window < 1 or spikes.shape[1] <= 2 * (window + margin):
        raise ValueError(
            f"branching_factor takes spikes [S, T, M], connected [M, M] and T above {2 * (window + margin)}, {list(spikes.shape)} and {list(connected.shape)} were given."
        )
    s, wired = spikes.double(), connected.to(spikes.device).double()
    total = torch.nn.functional.pad(s.cumsum(1), (0, 0, 1, 0))
    inner = torch.arange(window + margin, s.shape[1] - window - margin)
    before = total[:, inner] - total[:, inner - window]
    after = total[:, inner + window + 1] - total[:, inner + 1]
    ratio = (after @ wired) / (before @ wired.mT).clamp(min=1)
    fired = s[:, inner]
    cells = (fired * ratio).sum(1) / fired.sum(1)
    return float(cells.nanmean(1).nanmean())
