"""Supervised contrastive loss: things of one class are more alike than things of different classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def supervised_contrastive(features: Tensor, labels: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive loss with the mean outside the logarithm: ``features`` [..., N, D] and ``labels`` i64 [..., N] -> [...].

    Equation: ``mean_i -(1 / |P(i)|) sum_(p in P(i)) log(exp(s_ip / temperature) / sum_(k != i) exp(s_ik / temperature))``, ``s`` the cosines of the N vectors,
    ``P(i)`` the others of i's class. A vector that is the only one of its class is a negative for the rest and no anchor; where there is no anchor the loss is 0.
    With two vectors a class it is ``nt_xent`` of two views. Raises ``ValueError`` for other shapes, labels that are not i64, fewer than two vectors, and a temperature not above 0.
    Source: khosla2020 (its ``L_out``, no second views).
    """
    if features.ndim < 2 or features.shape[-2] < 2 or labels.shape != features.shape[:-1] or labels.dtype != torch.long:
        raise ValueError(
            f"supervised_contrastive takes features [..., N, D] of two things or more and labels i64 [..., N], {list(features.shape)} and {labels.dtype} {list(labels.shape)} were given."
        )
    if not temperature > 0:
        raise ValueError(f"temperature is above 0, {temperature!r} was given.")
    z = normalize(features, dim=-1)
    itself = torch.eye(z.shape[-2], dtype=torch.bool, device=z.device)
    logits = (z @ z.mT / temperature).masked_fill(itself, -torch.inf)
    likelihood = logits.log_softmax(-1).masked_fill(itself, 0.0)
    same = (labels[..., :, None] == labels[..., None, :]) & ~itself
    positives = same.sum(-1)
    own = (likelihood * same).sum(-1) / positives.clamp(min=1)
    return -own.sum(-1) / (positives > 0).sum(-1).clamp(min=1)
