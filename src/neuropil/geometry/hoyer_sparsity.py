"""Hoyer's sparsity: how few entries carry a vector, from 0 (all equal) to 1 (a single one)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


def hoyer_sparsity(x: Tensor, dim: int = -1) -> Tensor:
    """Return the sparsity of vectors along ``dim``.

    Equation: ``S = (sqrt(n) - ||x||_1 / ||x||_2) / (sqrt(n) - 1)`` for vectors of n entries; the scale of x does not matter.
    Shapes: x [..., n] -> [...]. A zero vector points nowhere and has no sparsity: NaN. Source: hoyer2004.
    Raises ``ValueError`` for vectors of fewer than 2 entries.
    """
    n = x.shape[dim]
    if n < 2:
        raise ValueError(f"Sparsity compares the entries of a vector, {n} was given along dim {dim}; give at least 2.")
    x = x.abs()
    x = x / x.amax(dim=dim, keepdim=True)
    ratio = x.sum(dim=dim) / torch.linalg.vector_norm(x, dim=dim)
    sparsity: Tensor = (math.sqrt(n) - ratio) / (math.sqrt(n) - 1.0)
    return sparsity


class PopulationSparsity(NamedTuple):
    """Sparsity of a population over many items: the mean over items that are not silent, and what was left out of it.

    ``dead_share`` is the share of units that no item activates, ``silent_share`` the share of items that activate no unit.
    ``all_units`` is the same mean with the dead units counted as entries, which makes any layer with dead units look sparser.
    """

    live_units: float
    all_units: float
    dead_share: float
    silent_share: float


def population_sparsity(activity: Tensor) -> PopulationSparsity:
    """Measure the sparsity of each item's activity over the live units, those that at least one item activates.

    Shapes: activity [items, units], zero meaning inactive. A silent item has no sparsity and is left out; where fewer than two units live,
    nothing can be sparse and ``live_units`` is NaN. Source: hoyer2004. Raises ``ValueError`` for any other number of dimensions or no item.
    """
    if activity.ndim != 2 or not len(activity) or activity.shape[1] < 2:
        raise ValueError(f"Population sparsity takes items by units, at least 1 by 2, {tuple(activity.shape)} was given.")
    active = activity != 0
    live, spoke = active.any(dim=0), active.any(dim=1)
    heard = activity[spoke]
    over_live = hoyer_sparsity(heard[:, live]).mean().item() if int(live.sum()) > 1 else math.nan
    over_all = hoyer_sparsity(heard).mean().item() if bool(spoke.any()) else math.nan
    return PopulationSparsity(over_live, over_all, 1.0 - live.float().mean().item(), 1.0 - spoke.float().mean().item())
