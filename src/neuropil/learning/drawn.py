"""Learning from batches that are drawn anew at every step, by a rate that rises and falls."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neuropil.learning.backprop import Backprop
from neuropil.learning.progress import Bar


def learn_from_draws(
    model: nn.Module,
    draw: Callable[[int], Sequence[Tensor]],
    loss: Callable[[Any, Tensor], Tensor],
    *,
    steps: int,
    rate: float,
    max_norm: float | None = 1.0,
    warm_up: float = 0.2,
    progress: bool = False,
) -> list[float]:
    """Take ``steps`` steps of Adam on ``loss(model(*inputs), target)`` with ``(*inputs, target) = draw(step)``; give the loss of each, a mean over replicas.

    The rate rises by a cosine to ``rate`` in the first ``warm_up`` of the steps and falls by another towards 0 (``one_cycle``, smith2019); gradients no longer than ``max_norm``. ``Replicas``
    learn all at once from batches [R, ...]. What is random is in ``draw``, so a run is repeated by drawing the same. For data that stay the same, and runs to be resumed, take ``fit``.
    Raises ``ValueError`` for no step, a ``warm_up`` outside 0 to 1, and what ``Backprop`` raises.
    """
    if steps < 1 or not 0 <= warm_up < 1:
        raise ValueError(f"Learning takes one step or more and warm_up from 0 to below 1, {steps} and {warm_up} were given.")
    rule = Backprop(lambda parameters: torch.optim.Adam(parameters, lr=rate), loss, max_norm=max_norm)
    optimizer = rule.init(model)
    cycle = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, steps, warm_up))
    losses = []
    with Bar(steps, "learning", show=progress) as bar:
        for step in range(steps):
            _, metrics = rule.step(model, tuple(draw(step)), optimizer)
            cycle.step()
            losses.append(float(metrics["loss"].mean()))
            bar.advance()
    return losses


def one_cycle(step: int, steps: int, warm_up: float = 0.2) -> float:
    """Give the share of the highest rate at a step from 0: up by a cosine until ``warm_up`` of the steps have been taken, then down to 0 at ``steps``. Source: smith2019."""
    turn = warm_up * steps
    way = (step + 1) / turn if step + 1 < turn else (steps - step) / (steps - max(turn - 1, 0.0))
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, way))
