"""What all strategies of continual learning share: a learning rule that also hears, where the scenario tells, that a task begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuropil.continual.scenario import Scenario
from neuropil.data.task_streams import Setting
from neuropil.dynamics.registry import Registry

STRATEGIES = Registry("strategy")
"""All strategies by name; see ``Registry``."""

Batch = Sequence[Tensor]
State = dict[str, Any]
Optimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
Loss = Callable[[Tensor, Tensor], Tensor]


class Strategy:
    """A learning rule for a stream of tasks: ``theta <- optimizer(theta, adjusted(d objective / d theta))``.

    A batch is ``(*inputs, target)``; where the task is told, inputs end with the task of every example, i64 [B]. By itself it is plain
    gradient descent on ``loss(model(*inputs), target)``, a mean over the batch. A strategy overrides what it needs: ``objective``
    (what is descended), ``adjust`` (gradients, before the step), ``begin`` and ``end`` of a task.

    ``needs_boundaries``: it must be told when a task begins or ends. ``revisits``: it goes over the examples that ``begin`` or ``end`` hand it, so that they are
    seen once more than they are learned; then it does not run online. ``settings``: those it works in. The state is a dictionary that a
    checkpoint can hold. Random choices come from ``generator`` (None: torch's own).
    """

    needs_boundaries: ClassVar[bool] = False
    revisits: ClassVar[bool] = False
    settings: ClassVar[frozenset[Setting]] = frozenset(Setting)
    sees_all: ClassVar[bool] = False
    """Whether it is given all tasks up to the present one instead of the present one alone."""

    def __init__(self, optimizer: Optimizer, loss: Loss = cross_entropy, *, generator: torch.Generator | None = None) -> None:
        self.optimizer, self.loss, self.generator = optimizer, loss, generator

    def hindrance(self, scenario: Scenario) -> str | None:
        """Say in words why this strategy cannot run in a scenario, or None where it can."""
        name = type(self).__name__
        if scenario.setting not in self.settings:
            return f"{name} works {' and '.join(sorted(self.settings))}-incrementally only"
        if self.needs_boundaries and not scenario.told:
            return f"{name} must be told when a task begins and ends"
        if scenario.online and (self.sees_all or self.revisits):
            return (
                f"{name} {'learns old tasks again' if self.sees_all else 'goes over all examples of a task once more'}, which is not online"
            )
        return None

    def init(self, model: nn.Module) -> State:
        """Make the first state, the optimiser in it; ``ValueError`` for a model without trainable parameters."""
        parameters = [one for one in model.parameters() if one.requires_grad]
        if not parameters:
            raise ValueError(f"{type(self).__name__} needs trainable parameters and this {type(model).__name__} has none.")
        return {"optimizer": self.optimizer(parameters)}

    def begin(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Hear that a task begins; ``examples`` are all of it, as one batch, and online, where nothing is seen twice, ``()``."""
        return state

    def end(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Hear that a task has ended; ``examples`` as for ``begin``."""
        return state

    def objective(self, model: nn.Module, batch: Batch, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is descended by its gradient (a term whose gradient ``adjust`` adds is left out), and numbers to report."""
        *inputs, target = batch
        return self.loss(model(*inputs), target), {}

    def adjust(self, model: nn.Module, batch: Batch, state: State) -> dict[str, Tensor]:
        """Change gradients before the optimiser's step; return numbers to report."""
        return {}

    def step(self, model: nn.Module, batch: Batch, state: State) -> tuple[State, dict[str, Tensor]]:
        """Take one step and return the state and ``{"loss": ..., ...}`` as it was before the step."""
        if len(batch) < 2:
            raise ValueError(
                f"{type(self).__name__} takes batches (*inputs, target), {len(batch)} tensor was given; give the target as well."
            )
        optimizer = state["optimizer"]
        optimizer.zero_grad(set_to_none=True)
        loss, said = self.objective(model, batch, state)
        loss.backward()
        said = said | self.adjust(model, batch, state)
        optimizer.step()
        self.after(model, batch, state)
        return state, {"loss": loss.detach()} | said

    def after(self, model: nn.Module, batch: Batch, state: State) -> None:
        """Take note of a batch that has been learned, in ``state``."""

    def stored(self, state: State) -> int:
        """Count the numbers kept beside the model and its optimiser: importances, old weights, examples."""
        return sum(leaf.numel() for name, part in state.items() if name != "optimizer" for leaf in _tensors(part))


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that learn, by name."""
    return {name: one for name, one in model.named_parameters() if one.requires_grad}


def _tensors(node: Any) -> list[Tensor]:
    if isinstance(node, Tensor):
        return [node]
    if isinstance(node, nn.Module):
        return [*node.parameters(), *node.buffers()]
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    return [leaf for part in inner for leaf in _tensors(part)]
