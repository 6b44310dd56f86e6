"""Backpropagation of errors: the gradient of one loss for every parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import ASGD, SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, RAdam, RMSprop, Rprop

from neuropil.learning.replicas import Replicas, side_by_side

ELEMENTWISE = (ASGD, SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, RAdam, RMSprop, Rprop)
"""Optimisers that move every number by its own gradients alone, so that replicas in one tensor never meet."""


class Backprop:
    """Gradient descent on a loss: ``theta <- optimizer(theta, dL / dtheta)``, ``L = loss(model(*inputs), target)``.

    ``optimizer`` makes a torch optimiser from parameters; ``loss(output, target)`` is a scalar, a mean over the batch. A batch is
    ``(*inputs, target)``. With ``max_norm`` the gradient of all parameters is scaled down to that Euclidean norm where it is longer
    (pascanu2013). The state is the optimiser. ``Replicas`` learn all at once from batches [R, ...], each by its own loss and its own norm.
    Source: rumelhart1986. Raises ``ValueError`` for a ``max_norm`` not above 0.
    """

    def __init__(
        self,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        loss: Callable[[Any, Tensor], Tensor],
        *,
        max_norm: float | None = None,
    ) -> None:
        if max_norm is not None and not max_norm > 0:
            raise ValueError(f"max_norm is above 0, {max_norm} was given; leave it out to leave gradients as they are.")
        self.optimizer = optimizer
        self.loss = loss
        self.max_norm = max_norm

    def init(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser of the model's trainable parameters; ``ValueError`` if there are none, or if replicas would meet in it."""
        parameters = _trainable(model)
        if not parameters:
            raise ValueError(f"Backprop needs trainable parameters and this {type(model).__name__} has none; set requires_grad on some.")
        if isinstance(model, Replicas) and (reason := self.hindrance(model)):
            raise ValueError(f"Replicas cannot learn together: {reason}; let them learn one after another.")
        return self.optimizer(parameters)

    def hindrance(self, replicas: Replicas) -> str | None:
        """Say in words why these replicas cannot learn together, or None where they can."""
        own, stacked = _trainable(replicas[0]), _trainable(replicas)
        if not own:
            return "they have no trainable parameters"
        optimizer = self.optimizer(own)
        if type(optimizer) not in ELEMENTWISE:
            return f"{type(optimizer).__name__} is none of the optimisers known to treat every number by itself"
        if _groups(optimizer, own) != _groups(self.optimizer(stacked), stacked):
            return "the optimiser is set up by the shapes of parameters, which have one axis more together"
        return None

    def step(
        self, model: nn.Module, batch: Sequence[Tensor], state: torch.optim.Optimizer
    ) -> tuple[torch.optim.Optimizer, dict[str, Tensor]]:
        """Take one step and return the state and ``{"loss": L}`` as it was before the step, [R] of replicas."""
        if len(batch) < 2:
            raise ValueError(f"Backprop takes batches (*inputs, target), {len(batch)} tensor was given; give the target as well.")
        *inputs, target = batch
        state.zero_grad(set_to_none=True)
        output, together = model(*inputs), isinstance(model, Replicas)
        loss: Tensor = side_by_side(self.loss, "The loss", output, target) if together else self.loss(output, target)
        if loss.ndim != together:
            raise ValueError(
                f"Backprop needs a loss of one number, one of shape {list(loss.shape[together:])} came back; take its mean over the batch."
            )
        torch.autograd.backward(loss.sum())
        if self.max_norm is not None:
            _clip([one.grad for one in model.parameters() if one.grad is not None], self.max_norm, len(loss) if together else 1)
        state.step()
        return state, {"loss": loss.detach()}


def _trainable(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _groups(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> list[Any]:
    """Each group's parameters, by number, and its settings."""
    place = {id(parameter): k for k, parameter in enumerate(parameters)}
    return [{**group, "params": [place[id(parameter)] for parameter in group["params"]]} for group in optimizer.param_groups]


def _clip(gradients: list[Tensor], max_norm: float, replicas: int) -> None:
    """Scale the gradients of each replica to a norm of ``max_norm`` over all of them, where it is larger."""
    rows = [gradient.view(replicas, -1) for gradient in gradients]
    norm = torch.stack([torch.linalg.vector_norm(row, dim=1) for row in rows]).norm(dim=0)
    scale = (max_norm / norm.clamp(min=max_norm)).unsqueeze(1)
    for row in rows:
        row.mul_(scale)
