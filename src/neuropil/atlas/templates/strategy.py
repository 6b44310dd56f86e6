"""My part: replace this line by how old tasks are kept while new ones are learned."""

from __future__ import annotations

from typing import ClassVar

import torch
from neuropil.continual import STRATEGIES, Strategy
from neuropil.continual.fine_tuning import plain
from neuropil.continual.strategy import Batch, Loss, Optimizer, State, trainable
from torch import nn
from torch.nn.functional import cross_entropy


@STRATEGIES.register(
    cites=("kirkpatrick2017",),
    tags=("regularisation",),
    example={"pull": 0.05},
    off={"pull": 0.0},
    like=plain,
)
class MyPart(Strategy):
    """A strategy: after every step, weights go back a little to those of the last task.

    Equation: ``w <- optimizer(w, dL / dw)``; ``w <- w - pull (w - anchor)``, where
    ``anchor`` are the weights at the end of the last task. Without pull it is
    fine-tuning. Raises ``ValueError`` for a pull outside [0, 1].
    """

    needs_boundaries: ClassVar[bool] = True

    def __init__(
        self,
        optimizer: Optimizer,
        loss: Loss = cross_entropy,
        *,
        pull: float = 0.05,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(optimizer, loss, generator=generator)
        if not 0 <= pull <= 1:
            raise ValueError(f"pull lies from 0 to 1, {pull} was given; try 0.05.")
        self.pull = pull

    def init(self, model: nn.Module) -> State:
        """Make the first state: no task has ended."""
        return super().init(model) | {"anchor": {}}

    def end(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Keep the weights of now."""
        weights = trainable(model).items()
        return state | {
            "anchor": {name: weight.detach().clone() for name, weight in weights}
        }

    def after(self, model: nn.Module, batch: Batch, state: State) -> None:
        """Go back a little, once there is something to go back to."""
        if not self.pull:
            return
        with torch.no_grad():
            for name, anchor in state["anchor"].items():
                model.get_parameter(name).lerp_(anchor, self.pull)
