"""Settling of binary cells: they fire where their field says so, again and again, until nothing changes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from neuropil.data.sdr import k_winners


def fire(h: Tensor, x: Tensor, winners: int | None) -> Tensor:
    """One step: the ``winners`` cells with the largest field ``h`` [..., N], of equals the first; without it, those above 0, and a cell at 0 stays as it was in ``x``."""
    return k_winners(h, winners) if winners is not None else torch.where(h == 0, x, (h > 0).to(x.dtype))


def settle(field: Callable[[Tensor], Tensor], x: Tensor, steps: int, winners: int | None = None) -> Tensor:
    """Let all cells fire at once, ``x <- fire(field(x))``, up to ``steps`` times or until nothing changes: x [..., N] -> [..., N]."""
    for _ in range(steps):
        new = fire(field(x), x, winners)
        if torch.equal(new, x):
            break
        x = new
    return x


def check_winners(winners: int | None, size: int, memory: str) -> None:
    """Raise ``ValueError`` unless it is ``None`` or a number of cells that there are."""
    if winners is not None and (isinstance(winners, bool) or not isinstance(winners, int) or not 1 <= winners <= size):
        raise ValueError(f"winners of {memory} is a number of cells from 1 to {size}, {winners!r} was given; give how many fire at a time.")


def check_steps(steps: int, memory: str) -> None:
    """Raise ``ValueError`` unless it is a whole number of 1 or more."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps of {memory} is a number of updates, 1 or more, {steps!r} was given; give for example 20.")
