"""My part: replace this line by how old tasks are kept while new ones are learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from neuropil.data import TaskStream
from neuropil.learning import fit
from neuropil.learning.fit import Metrics, Rule
from torch import Tensor, nn


class MyPart:
    """A strategy: any learning rule, after whose every step weights go back a little.

    Equation: ``w <- rule(w)``; ``w <- w - pull (w - anchor)``, where ``anchor`` are the
    weights at the end of the last task. Without pull, or an anchor, it is the rule.

    Use: ``fit(model, data, strategy, ...)`` for a task, then
    ``strategy = strategy.remember(model)`` before the next.
    Raises ``ValueError`` for a pull outside [0, 1].
    """

    def __init__(
        self,
        rule: Rule,
        *,
        pull: float = 0.05,
        anchor: Mapping[str, Tensor] | None = None,
    ) -> None:
        if not 0 <= pull <= 1:
            raise ValueError(f"pull lies from 0 to 1, {pull} was given; try 0.05.")
        self.rule, self.pull, self.anchor = rule, pull, anchor

    def init(self, model: nn.Module) -> Any:
        """Make the rule's first state."""
        return self.rule.init(model)

    def step(
        self, model: nn.Module, batch: tuple[Tensor, ...], state: Any
    ) -> tuple[Any, Metrics]:
        """Change the model in place by one batch."""
        state, metrics = self.rule.step(model, batch, state)
        if self.anchor is not None and self.pull > 0:
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    weight.lerp_(self.anchor[name], self.pull)
        return state, metrics

    def remember(self, model: nn.Module) -> MyPart:
        """Give the strategy for the next task, which keeps to the weights of now."""
        weights = model.named_parameters()
        held = {name: weight.detach().clone() for name, weight in weights}
        return MyPart(self.rule, pull=self.pull, anchor=held)


def learn_in_turn(
    model: nn.Module,
    stream: TaskStream,
    strategy: MyPart,
    *,
    epochs: int,
    seed: int,
    batch_size: int = 20,
) -> list[list[float]]:
    """Learn task by task; give the accuracy on task j after learning task i, [i][j]."""
    matrix = []
    for task in stream:
        fit(
            model,
            (task.inputs, task.labels),
            strategy,
            epochs=epochs,
            seed=seed,
            batch_size=batch_size,
            progress=False,
        )
        strategy = strategy.remember(model)
        matrix.append(accuracies(model, list(stream)))
    return matrix


@torch.no_grad()
def accuracies(model: nn.Module, tasks: Sequence[Any]) -> list[float]:
    """Give the share correct on each task."""
    right = [model(task.inputs).argmax(1) == task.labels for task in tasks]
    return [float(each.double().mean()) for each in right]
