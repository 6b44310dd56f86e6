"""Elastic weight consolidation: weights that mattered for old tasks are held near their old values, each by its Fisher information."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from neuropil.continual.fine_tuning import plain
from neuropil.continual.strategy import STRATEGIES, Batch, Loss, Optimizer, State, Strategy, trainable


class Fisher(StrEnum):
    """How importance is measured, over all examples of a task; the two are different algorithms.

    ``SAMPLES``: the mean of the squared gradient of each example's loss (the empirical Fisher information, its diagonal). ``BATCHES``: the mean of the
    squared gradient of each batch's mean loss, smaller by about the batch size and by the noise that averages out.
    """

    SAMPLES = "samples"
    BATCHES = "batches"


@STRATEGIES.register(
    cites=("kirkpatrick2017", "schwarz2018"), tags=("regularisation",), example={"strength": 100.0}, off={"strength": 0.0}, like=plain
)
class EWC(Strategy):
    """Elastic weight consolidation: ``objective = L + strength / 2 sum_k sum_i F_k,i (theta_i - theta_k,i)^2`` over the tasks k that have ended.

    ``F_k``: the diagonal of the empirical Fisher information of task k at its end, ``theta_k`` the weights then (see ``Fisher`` for its two
    readings; ``batch_size``: that of ``BATCHES``, and the chunk of ``SAMPLES``). ``decay`` None: one penalty a task (kirkpatrick2017);
    a number in [0, 1]: one running penalty about the newest weights, ``F <- decay F + F_k`` (schwarz2018). Labels are the given ones, where
    the first paper draws them from the model. Importance is measured in evaluation mode, so that running statistics stay as they are.
    Reports ``penalty``. Raises ``ValueError`` for a strength below 0, a decay outside [0, 1], an unknown Fisher, and a batch size below 1.
    Sources: kirkpatrick2017, schwarz2018.
    """

    needs_boundaries: ClassVar[bool] = True

    def __init__(
        self,
        optimizer: Optimizer,
        loss: Loss = cross_entropy,
        *,
        strength: float,
        fisher: Fisher | str = Fisher.SAMPLES,
        decay: float | None = None,
        batch_size: int = 128,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(optimizer, loss, generator=generator)
        if not strength >= 0 or (decay is not None and not 0 <= decay <= 1) or fisher not in list(Fisher) or batch_size < 1:
            raise ValueError(
                f"EWC takes a strength from 0, a decay in [0, 1] or None, fisher {' or '.join(Fisher)} and a batch_size from 1; "
                f"{strength}, {decay}, {fisher!r} and {batch_size} were given."
            )
        self.strength, self.fisher, self.decay, self.batch_size = strength, Fisher(fisher), decay, batch_size

    def init(self, model: nn.Module) -> State:
        """Make the first state: no task has ended."""
        return super().init(model) | {"importance": [], "anchor": []}

    def end(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Measure importances on the task's examples and keep them with the weights."""
        found = self.importance(model, examples)
        anchor = {name: one.detach().clone() for name, one in trainable(model).items()}
        if self.decay is not None and state["importance"]:
            old = state["importance"][-1]
            found = {name: self.decay * old[name] + value for name, value in found.items()}
        kept = [] if self.decay is not None else list(zip(state["importance"], state["anchor"], strict=True))
        importances, anchors = zip(*kept, (found, anchor), strict=True)
        return state | {"importance": list(importances), "anchor": list(anchors)}

    def importance(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Measure ``F`` of examples ``(*inputs, target)``: one number a parameter, by name."""
        training = model.training
        model.eval()
        parameters = {name: one.detach() for name, one in trainable(model).items()}
        held = {name: one.detach() for name, one in [*model.named_parameters(), *model.named_buffers()] if name not in parameters}

        def loss(parameters: dict[str, Tensor], *examples: Tensor) -> Tensor:
            *inputs, target = examples
            return self.loss(functional_call(model, parameters | held, tuple(inputs)), target)

        def one(parameters: dict[str, Tensor], *example: Tensor) -> Tensor:
            return loss(parameters, *(part[None] for part in example))

        total = {name: torch.zeros_like(value) for name, value in parameters.items()}
        chunks = list(zip(*(part.split(self.batch_size) for part in batch), strict=True))
        for chunk in chunks:
            if self.fisher is Fisher.SAMPLES:
                gradients = vmap(grad(one), (None, *[0] * len(chunk)))(parameters, *chunk)
                found = {name: value.square().sum(0) for name, value in gradients.items()}
            else:
                found = {name: value.square() for name, value in grad(loss)(parameters, *chunk).items()}
            for name, value in found.items():
                total[name] += value
        model.train(training)
        number = len(batch[0]) if self.fisher is Fisher.SAMPLES else len(chunks)
        return {name: value / number for name, value in total.items()}

    def objective(self, model: nn.Module, batch: Batch, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the penalty."""
        loss, said = super().objective(model, batch, state)
        penalty = self.penalty(model, state)
        return loss + penalty, said | {"penalty": penalty.detach()}

    def penalty(self, model: nn.Module, state: State) -> Tensor:
        """``strength / 2 sum_k sum_i F_k,i (theta_i - theta_k,i)^2``, 0 before a task has ended."""
        parameters = trainable(model)
        total = torch.zeros((), device=next(iter(parameters.values())).device)
        for importance, anchor in zip(state["importance"], state["anchor"], strict=True):
            for name, one in parameters.items():
                total = total + (importance[name] * (one - anchor[name]).square()).sum()
        return self.strength / 2 * total
