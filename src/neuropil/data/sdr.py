"""Sparse distributed representations: binary patterns of which few cells are active, drawn, disturbed, or made from numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from neuropil.data.checks import whole


def sparse_patterns(count: int, size: int, active: int, generator: torch.Generator) -> Tensor:
    """Draw patterns f32 [count, size] of 0 and 1, each with ``active`` ones, all such patterns equally likely. Source: ahmad2016.

    Raises ``ValueError`` for more active cells than cells, ``TypeError`` for numbers that are not whole.
    """
    whole("count", count, 0)
    whole("size", size, 1)
    order = torch.rand(count, size, generator=generator, device=generator.device)
    return _ones(order.topk(_at_most(active, order)).indices, order)


def k_winners(x: Tensor, active: int) -> Tensor:
    """Make the ``active`` largest of each row 1 and the others 0: x [..., N] -> [..., N] in the dtype of ``x``; of equals the first win.

    A random projection before it makes a sparse code of any numbers, similar for similar inputs: ``k_winners(x @ projection, active)``. Source: ahmad2016.
    Raises ``ValueError`` for more winners than cells, ``TypeError`` for an ``x`` that is not floating.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        given = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"k_winners takes a floating-point tensor, {given} was given; convert it first, for example x.float().")
    return _ones(x.argsort(dim=-1, descending=True, stable=True)[..., : _at_most(active, x)], x)


def move_active(patterns: Tensor, moved: int, generator: torch.Generator) -> Tensor:
    """Silence ``moved`` active cells of each pattern and activate as many that were silent: patterns [..., N] -> [..., N], as sparse as before.

    Every choice of cells is equally likely. Differs from the authors' code in that no cell that fell silent is activated again.
    Source: ahmad2016. Raises ``ValueError`` where a pattern has fewer than ``moved`` active or silent cells, or other values than 0 and 1.
    """
    whole("moved", moved, 0)
    on = patterns == 1
    if not bool((on | (patterns == 0)).all()):
        raise ValueError("move_active takes patterns of 0 and 1, other values were given; binarise them first, for example by k_winners.")
    least = min(int(on.sum(-1).min()), int((~on).sum(-1).min())) if patterns.numel() else moved
    if moved > least:
        raise ValueError(f"Each pattern needs {moved} active and {moved} silent cells to move, one has {least}; move fewer.")
    order = torch.rand(patterns.shape, generator=generator, device=generator.device)
    silenced, activated = (torch.where(chosen, order, -1.0).topk(moved).indices for chosen in (on, ~on))
    return patterns.scatter(-1, silenced, 0.0).scatter(-1, activated, 1.0)


def _at_most(active: int, x: Tensor) -> int:
    if whole("active", active, 0) > x.shape[-1]:
        raise ValueError(f"active is at most the {x.shape[-1]} cells there are, {active} was given.")
    return active


def _ones(at: Tensor, like: Tensor) -> Tensor:
    return torch.zeros_like(like).scatter_(-1, at, 1.0)
