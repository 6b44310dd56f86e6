"""ReLinear: quadratic neurons begin as linear ones and learn what is quadratic slowly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from neuropil.learning.backprop import Backprop
from neuropil.learning.replicas import Replicas
from neuropil.synapses.quadratic import Quadratic


class ReLinear(Backprop):
    """Backpropagation in which the quadratic parameters of every ``Quadratic`` layer learn at ``gamma`` times the rate of the others.

    Equation: ``theta <- optimizer(theta, dL / dtheta)`` at the rate of the optimiser for linear parameters, at ``gamma`` times that for the
    quadratic ones, with weight decay ``decay`` on them (towards the linear neuron) in place of the optimiser's own. ``gamma = 0``: the layers stay as they
    were made, linear if they began so; ``gamma = 1``: they learn as all others. The paper's range is 1e-5 to 1e-2.

    ``optimizer`` makes a torch optimiser from parameters; ``loss`` and ``max_norm`` as for ``Backprop``. Give the layers ``start="linear"``.
    Raises ``ValueError`` for ``gamma`` or ``decay`` below 0, and for a model without ``Quadratic`` layers. Source: fan2022. Differs from the paper in one rate for gates and
    squares, and in that shrinking the weights by their L1 norm is left out.
    """

    def __init__(
        self,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        loss: Callable[[Any, Tensor], Tensor],
        *,
        gamma: float = 1e-2,
        decay: float = 0.0,
        max_norm: float | None = None,
    ) -> None:
        super().__init__(optimizer, loss, max_norm=max_norm)
        for name, value in (("gamma", gamma), ("decay", decay)):
            if not value >= 0:
                raise ValueError(f"{name} is 0 or more, {value!r} was given; 0 leaves it out.")
        self.gamma, self.decay = gamma, decay

    def init(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser, quadratic parameters in a group of their own."""
        quadratic = [one for part in model.modules() if isinstance(part, Quadratic) for one in part.quadratic_parameters()]
        if not quadratic:
            raise ValueError(f"ReLinear teaches models with Quadratic layers and this {type(model).__name__} has none; use Backprop.")
        apart = {id(one) for one in quadratic}
        plain = [one for one in model.parameters() if one.requires_grad and id(one) not in apart]
        state = self.optimizer(plain)
        slow = {"lr": self.gamma * state.param_groups[0]["lr"], "weight_decay": self.decay}
        state.add_param_group({"params": [one for one in quadratic if one.requires_grad], **slow})
        return state

    def hindrance(self, replicas: Replicas) -> str | None:
        """Say in words why these replicas cannot learn together."""
        return "ReLinear teaches one model at a time"
