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

    Penalties of all tasks add up to one quadratic, ``sum_i F_i (theta_i - c_i)^2 + rest`` with ``F = sum_k F_k`` and ``c = sum_k F_k theta_k / F``, which is
    all that is kept: two numbers a parameter, and a step's cost, do not grow with the tasks. ``adjust`` adds its gradient, ``strength F (theta - c)``,
    so that ``loss`` is reported without it and ``penalty`` beside it. At a task's end its examples are gone over once more, so it does not run online.
    Raises ``ValueError`` for a strength below 0, a decay outside [0, 1], an unknown Fisher, and a batch size below 1.
    Sources: kirkpatrick2017, schwarz2018.
    """

    needs_boundaries: ClassVar[bool] = True
    revisits: ClassVar[bool] = True

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
        """Make the first state: nothing matters yet."""
        anchor = {name: one.detach().clone() for name, one in trainable(model).items()}
        importance = {name: torch.zeros_like(one) for name, one in anchor.items()}
        return super().init(model) | {"importance": importance, "anchor": anchor, "rest": 0.0}

    def end(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Measure importances on the task's examples and add them, about the weights of now, to those kept."""
        found = self.importance(model, examples)
        now = {name: one.detach().clone() for name, one in trainable(model).items()}
        if self.decay is not None:
            return state | {
                "importance": {name: self.decay * state["importance"][name] + new for name, new in found.items()},
                "anchor": now,
            }
        merged = {name: merge(state["importance"][name], state["anchor"][name], new, now[name]) for name, new in found.items()}
        importance, anchor, rests = ({name: parts[k] for name, parts in merged.items()} for k in range(3))
        return state | {"importance": importance, "anchor": anchor, "rest": state["rest"] + sum(float(one) for one in rests.values())}

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

    def adjust(self, model: nn.Module, batch: Batch, state: State) -> dict[str, Tensor]:
        """Add the penalty's gradient."""
        penalty = pull(model, state["importance"], state["anchor"], self.strength)
        return {"penalty": penalty + self.strength / 2 * state["rest"]}


def merge(f: Tensor, c: Tensor, new: Tensor, now: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Add two quadratics: ``f (theta - c)^2 + new (theta - now)^2 = F (theta - centre)^2 + rest``; F and the centre as they are shaped, the sum of the rest f64 [].

    ``F = f + new``, ``centre = c + (now - c) new / F`` (``now`` where F is 0), ``rest = f new / F (now - c)^2``: a sum of numbers from 0, in which nothing cancels.
    """
    total = f + new
    share = torch.where(total > 0, new / total, 1.0)
    rest = (f.double() * share.double() * (now.double() - c.double()).square()).sum()
    return total, c.lerp(now, share), rest


@torch.no_grad()
def pull(model: nn.Module, importance: dict[str, Tensor], anchor: dict[str, Tensor], strength: float) -> Tensor:
    """Add to the parameters' gradients, in place, that of ``strength / 2 sum_i F_i (theta_i - c_i)^2``, and return its value, []; without strength, leave them alone."""
    parameters = trainable(model)
    total = torch.zeros((), device=next(iter(parameters.values())).device)
    if not strength:
        return total
    for name, one in parameters.items():
        away = one - anchor[name]
        if one.grad is None:
            one.grad = strength * importance[name] * away
        else:
            one.grad.addcmul_(importance[name], away, value=strength)
        total = total + torch.dot(importance[name].flatten(), away.square_().flatten())
    return strength / 2 * total
