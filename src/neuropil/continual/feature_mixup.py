"""Mixup of feature maps: what is replayed is a blend of two stored examples, and so is its label."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def feature_mixup(
    a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], classes: int, *, alpha: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Blend two batches, example by example: ``x = l x_a + (1 - l) x_b``, ``y = l y_a + (1 - l) y_b`` with one ``l ~ Beta(alpha, alpha)`` for the batch.

    ``a`` and ``b`` are inputs or hidden maps [B, ...] of one shape and labels i64 [B]; gives x [B, ...] and y [B, ``classes``], whose rows sum to 1, as ``cross_entropy`` takes them.
    ``alpha`` 0 leaves ``a`` as it is and draws nothing. Source: verma2019, applied to replayed maps by hayes2020. Raises ``ValueError`` for batches that do not fit and an ``alpha`` below 0.
    """
    (x, y), (other, others) = a, b
    if x.shape != other.shape or not y.shape == others.shape == x.shape[:1] or y.dtype != torch.long or others.dtype != torch.long:
        raise ValueError(
            f"feature_mixup takes two batches [B, ...] of one shape with labels i64 [B], {list(x.shape)}, {y.dtype} {list(y.shape)} and {list(other.shape)}, {others.dtype} {list(others.shape)} were given."
        )
    if not 0 <= alpha < float("inf"):
        raise ValueError(f"alpha of feature_mixup is a finite number from 0 up, {alpha} was given.")
    own, its = one_hot(y, classes).to(x), one_hot(others, classes).to(x)
    if not alpha:
        return x, own
    first, second = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64, device=x.device), generator=generator).unbind()
    share = (first / (first + second)).to(x)
    return share * x + (1 - share) * other, share * own + (1 - share) * its
