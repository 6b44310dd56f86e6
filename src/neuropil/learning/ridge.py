"""Ridge regression: the linear readout in closed form."""

from __future__ import annotations

import torch
from torch import Tensor


def ridge(x: Tensor, y: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Fit ``y`` from ``x`` linearly, weights kept small: returns ``weight`` [..., K, N] and ``bias`` [..., K], so that ``x @ weight.mT + bias`` predicts.

    Equation: ``weight = argmin |y - x weight^T - bias|^2 + penalty |weight|^2``, the bias not penalised: ``weight^T = (C + penalty I)^-1 D`` with
    ``C``, ``D`` the sums of products of the deviations from the means. Shapes: x [..., T, N], y [..., T, K]; in the wider of their dtypes, float64 is best. Source: hoerl1970.
    Raises ``ValueError`` for a negative penalty, or different numbers of samples.
    """
    if not penalty >= 0:
        raise ValueError(f"penalty is 0 or more, {penalty!r} was given.")
    if x.ndim < 2 or y.ndim < 2 or x.shape[-2] != y.shape[-2]:
        raise ValueError(f"ridge takes x [..., T, N] and y [..., T, K] of as many samples, {list(x.shape)} and {list(y.shape)} were given.")
    mean_x, mean_y = x.mean(-2, keepdim=True), y.mean(-2, keepdim=True)
    a, b = x - mean_x, y - mean_y
    gram = a.mT @ a + penalty * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    weight: Tensor = torch.linalg.solve(gram, a.mT @ b).mT
    return weight, (mean_y - mean_x @ weight.mT).squeeze(-2)
