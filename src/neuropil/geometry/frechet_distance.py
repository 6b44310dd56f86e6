"""Fréchet distance: how far apart two clouds of points lie, each taken as a normal distribution."""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The squared Fréchet (2-Wasserstein) distance of two normal distributions with the means and covariances of the points.

    Equation: ``|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a^(1/2) S_b S_a^(1/2))^(1/2))``, covariances without bias. ``a`` [S, D], ``b`` [R, D]; computed in float64.
    Raises ``ValueError`` for shapes that do not fit or less than two points. Sources: dowson1982; heusel2017 (of features of pictures).
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"frechet_distance takes [S, D] and [R, D] of two points or more, {list(a.shape)} and {list(b.shape)} were given.")
    a, b = a.double(), b.double()
    first, second = torch.atleast_2d(a.mT.cov()), torch.atleast_2d(b.mT.cov())
    root = _root(first)
    return float((a.mean(0) - b.mean(0)).square().sum() + first.trace() + second.trace() - 2 * _root(root @ second @ root).trace())


def _root(x: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(x)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.mT
    return root
