"""Contrastive loss: two views of one thing are more alike than views of different things."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


def nt_xent(views: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Normalised temperature-scaled cross entropy of pairs, SimCLR's loss: ``views`` [2, B, D] -> one number.

    Equation: ``mean_i -log(exp(s_ij / temperature) / sum_(k != i) exp(s_ik / temperature))``, ``s`` the cosines of the 2B vectors, ``j`` the other view of ``i``. Chance is ``log(2B - 1)``.
    Raises ``ValueError`` for another shape, a batch of one, or a temperature not above 0. Source: chen2020simclr.
    """
    if views.ndim != 3 or len(views) != 2 or views.shape[1] < 2:
        raise ValueError(f"nt_xent takes two views [2, B, D] of two things or more, {list(views.shape)} was given.")
    if not temperature > 0:
        raise ValueError(f"temperature is above 0, {temperature!r} was given.")
    z = normalize(views.flatten(0, 1), dim=-1)
    n = len(z)
    logits = (z @ z.mT / temperature).masked_fill(torch.eye(n, dtype=torch.bool, device=z.device), -torch.inf)
    return cross_entropy(logits, torch.arange(n, device=z.device).roll(n // 2))
