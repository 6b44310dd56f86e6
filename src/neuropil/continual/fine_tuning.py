"""Fine-tuning: the floor. Tasks are learned one after the other, and nothing is done against forgetting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neuropil.continual.strategy import STRATEGIES, Strategy


@STRATEGIES.register(cites=("mccloskey1989",), tags=("baseline",), example={})
class FineTuning(Strategy):
    """Plain gradient descent on whatever comes: ``theta <- optimizer(theta, dL / dtheta)``. Source: mccloskey1989."""


def plain(strategy: Strategy) -> Callable[..., Any]:
    """What a strategy does when it is switched off: the steps of fine-tuning by the same optimiser on the same loss."""
    return FineTuning(strategy.optimizer, strategy.loss).step
