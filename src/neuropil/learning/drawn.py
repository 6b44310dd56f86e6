"""Learning from batches that are drawn anew at every step, by a rate that rises and falls."""

from __future__ import annotations

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

    The rate rises by a cosine to ``rate`` in the first ``warm_up`` of the steps and falls to almost nothing by the last (one cycle, smith2019); gradients no longer than ``max_norm``. ``Replicas``
    learn all at once from batches [R, ...]. What is random is in ``draw``, so a run is repeated by drawing the same. For data that stay the same, and runs to be resumed, take ``fit``.
    Raises ``ValueError`` for fewer than two steps, a ``warm_up`` outside 0 to 1, and what ``Backprop`` raises.
    """
    if steps < 2 or not 0 < warm_up < 1:
        raise ValueError(f"Learning takes two steps or more and warm_up between 0 and 1, {steps} and {warm_up} were given.")
    rule = Backprop(lambda parameters: torch.optim.Adam(parameters, lr=rate), loss, max_norm=max_norm)
    optimizer = rule.init(model)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=warm_up)
    losses = []
    with Bar(steps, "learning", show=progress) as bar:
        for step in range(steps):
            _, metrics = rule.step(model, tuple(draw(step)), optimizer)
            if step + 1 < steps:
                cycle.step()
            losses.append(float(metrics["loss"].mean()))
            bar.advance()
    return losses
