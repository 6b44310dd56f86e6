"""Backpropagation of errors: the gradient of one loss for every parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn


class Backprop:
    """Gradient descent on a loss: ``theta <- optimizer(theta, dL / dtheta)``, ``L = loss(model(*inputs), target)``.

    ``optimizer`` makes a torch optimiser from parameters; ``loss(output, target)`` is a scalar, a mean over the batch. A batch is
    ``(*inputs, target)``. The state is the optimiser. Source: rumelhart1986.
    """

    def __init__(
        self, optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer], loss: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        self.optimizer = optimizer
        self.loss = loss

    def init(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser of the model's trainable parameters; ``ValueError`` if there are none."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not parameters:
            raise ValueError(f"Backprop needs trainable parameters and this {type(model).__name__} has none; set requires_grad on some.")
        return self.optimizer(parameters)

    def step(
        self, model: nn.Module, batch: Sequence[Tensor], state: torch.optim.Optimizer
    ) -> tuple[torch.optim.Optimizer, dict[str, Tensor]]:
        """Take one step and return the state and ``{"loss": L}`` as it was before the step."""
        if len(batch) < 2:
            raise ValueError(f"Backprop takes batches (*inputs, target), {len(batch)} tensor was given; give the target as well.")
        *inputs, target = batch
        state.zero_grad(set_to_none=True)
        loss = self.loss(model(*inputs), target)
        if loss.ndim:
            raise ValueError(
                f"Backprop needs a loss of one number, one of shape {list(loss.shape)} came back; take its mean over the batch."
            )
        torch.autograd.backward(loss)
        state.step()
        return state, {"loss": loss.detach()}
