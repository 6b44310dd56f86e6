"""Memory capacity: how much of the past of a white-noise input can be read linearly from a state."""

from __future__ import annotations

import torch
from torch import Tensor

from neuropil.learning.ridge import ridge


def memory_curve(x: Tensor, states: Tensor, lags: int, *, test: int, penalty: float = 0.0) -> Tensor:
    """Return, for each lag from 1 to ``lags``, how well the input so many steps ago is read from the state: ``r^2`` [lags], between 0 and 1.

    Equation: ``m_k = cov(x(t - k), w_k y(t))^2 / (var x var w_k y)`` on the last ``test`` moments, ``w_k`` fitted by ridge regression with ``penalty`` on those before.
    Shapes: x [T], states [T, N], the first ``lags`` moments being used as past only. For independent inputs the sum over all lags is at most N. Chance gives about ``1 / test`` a lag.
    Source: jaeger2001. Raises ``ValueError`` for shapes that do not fit or too few moments.
    """
    if x.ndim != 1 or states.ndim != 2 or len(x) != len(states):
        raise ValueError(f"memory_curve takes x [T] and states [T, N], {list(x.shape)} and {list(states.shape)} were given.")
    if lags < 1 or test < 2 or len(x) - lags - test < 2:
        raise ValueError(f"{len(x)} moments are too few for {lags} lags and a test of {test}; at least 2 must be left to fit.")
    past = torch.stack([x[lags - k : len(x) - k] for k in range(1, lags + 1)], 1)
    seen = states[lags:]
    weight, bias = ridge(seen[:-test], past[:-test], penalty)
    read, true = seen[-test:] @ weight.mT + bias, past[-test:]
    read, true = read - read.mean(0), true - true.mean(0)
    shared = (read * true).sum(0).square()
    whole = read.square().sum(0) * true.square().sum(0)
    return torch.where(whole > 0, shared / whole.clamp(min=torch.finfo(whole.dtype).tiny), 0.0)


def memory_capacity(x: Tensor, states: Tensor, lags: int, *, test: int, penalty: float = 0.0) -> float:
    """Return the sum of ``memory_curve`` over lags; arguments, source and errors as there."""
    return float(memory_curve(x, states, lags, test=test, penalty=penalty).sum())
