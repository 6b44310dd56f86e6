"""Induction heads as they form: how strongly a head looks at the right label, how strongly at the token before, and when the loss drops."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def induction_strength(pattern: Tensor, match: Tensor, labels: Sequence[int]) -> Tensor:
    """Attention of the last query to the label that it should copy, minus the mean attention to the other labels of the context.

    Equation: ``s = a[match] - mean(a[l] for l in labels other than match)`` with ``a`` the last row of the pattern: 1 for all attention on the
    right label, 0 for equal attention, -1 for all of it on a wrong one of two. Shapes: pattern [..., n, heads, T, T] (queries by keys), match
    i64 [..., n] positions -> [..., n, heads]. Source: singh2024. Raises ``ValueError`` for fewer than two labels or a match that is none of them.
    """
    if len(labels) < 2:
        raise ValueError(f"Induction strength compares labels, {len(labels)} position was given; give the positions of two at least.")
    at = torch.as_tensor(labels, device=match.device)
    right = match[..., None] == at
    if not bool(right.any(-1).all()):
        raise ValueError(f"Every match is the position of a label, one of {list(labels)}; another was given, see FewShotSequences.")
    weight = torch.where(right, 1.0, -1.0 / (len(labels) - 1)).to(pattern)
    strength: Tensor = (pattern[..., -1, :].index_select(-1, at.to(pattern.device)) * weight[..., None, :]).sum(dim=-1)
    return strength


def previous_token_strength(pattern: Tensor, queries: Sequence[int]) -> Tensor:
    """Attention to the token just before, minus the mean attention to every other token that a causal head can see; mean over ``queries``.

    Equation: ``s = mean_t (a[t, t-1] - (1 - a[t, t-1]) / t)`` over query positions t, which see t + 1 tokens: 1 for all attention on the token
    before, 0 for equal attention. Shapes: pattern [..., T, T] (queries by keys) -> [...]. Source: singh2024, olsson2022. Differs from
    singh2024 in that what is taken away is a mean, so that a head with no preference has strength 0 at every position.
    Raises ``ValueError`` for positions without a token before them.
    """
    t = torch.as_tensor(queries, device=pattern.device)
    if not len(t) or int(t.min()) < 1 or int(t.max()) >= pattern.shape[-1]:
        raise ValueError(
            f"A query position lies between 1 and {pattern.shape[-1] - 1}, {list(queries)} were given; position 0 has none before it."
        )
    before = pattern[..., t, t - 1]
    strength: Tensor = (before - (1 - before) / t.to(pattern)).mean(dim=-1)
    return strength


def first_above(steps: Sequence[float], values: Sequence[float], level: float) -> float:
    """Give the first step at which the value lies above ``level``, infinity where it never does. Raises ``ValueError`` for other lengths."""
    _paired(steps, values)
    return next((float(step) for step, value in zip(steps, values, strict=True) if value > level), math.inf)


def plateau_share(steps: Sequence[float], loss: Sequence[float], until: float, low: float, high: float) -> float:
    """Give the share of the evaluations before step ``until`` whose loss lies from ``low`` to ``high``; 0 where there is none before it.

    A run that waits on a plateau and then falls has a large share; one that learns evenly has a small one. Raises as ``first_above`` does.
    """
    _paired(steps, loss)
    before = [value for step, value in zip(steps, loss, strict=True) if step < until]
    return sum(low <= value <= high for value in before) / len(before) if before else 0.0


def _paired(steps: Sequence[float], values: Sequence[float]) -> None:
    if len(steps) != len(values):
        raise ValueError(
            f"Every evaluation has a step and a value, {len(steps)} and {len(values)} were given; give as many of one as of the other."
        )
