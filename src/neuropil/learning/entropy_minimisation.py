"""Test-time adaptation: a trained network that goes on learning, without labels, from the stream it is tested on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neuropil.learning.fit import Rule


def entropy(scores: Tensor) -> Tensor:
    """Entropy in nats of the class probabilities that scores [..., C] give: ``-sum_c p_c log p_c``, ``p = softmax(scores)``."""
    logs = scores.log_softmax(-1)
    return -(logs.exp() * logs).sum(-1)


def affine_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """Gains and biases of all batch normalisation in a model, which Tent adapts."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) and part.affine:
            yield from part.parameters()


class EntropyMinimisation:
    """Gradient descent on the entropy of the model's own predictions, a step a batch: ``theta <- optimizer(theta, d mean H / d theta)``.

    ``optimizer`` makes a torch optimiser from parameters; ``parameters(model)`` are those that move (Tent: gains and biases of normalisation). A batch
    is ``(inputs, ...)``, anything after the inputs is not looked at. The state is the optimiser. Source: wang2021tent. Differs from the paper in that
    it does not itself switch normalisation to batch statistics (``adapt`` does). Raises ``ValueError`` where there is nothing to move.
    """

    def __init__(
        self,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        parameters: Callable[[nn.Module], Iterable[nn.Parameter]] = affine_parameters,
    ) -> None:
        self.optimizer, self.parameters = optimizer, parameters

    def init(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser."""
        moving = list(self.parameters(model))
        if not moving:
            raise ValueError(f"EntropyMinimisation found no parameter to move in this {type(model).__name__}; give parameters= that do.")
        return self.optimizer(moving)

    def step(
        self, model: nn.Module, batch: Sequence[Tensor], state: torch.optim.Optimizer
    ) -> tuple[torch.optim.Optimizer, dict[str, Tensor]]:
        """Take one step; return ``{"entropy": mean H}`` as it was before."""
        moving = [one for group in state.param_groups for one in group["params"]]
        uncertain = entropy(model(batch[0])).mean()
        for one, gradient in zip(moving, torch.autograd.grad(uncertain, moving), strict=True):
            one.grad = gradient
        state.step()
        return state, {"entropy": uncertain.detach()}


def adapt(model: nn.Module, stream: Sequence[Tensor], rule: Rule | None, *, batch_size: int, statistics: bool = True) -> Tensor:
    """Let ``rule`` change ``model``, in place, batch after batch of a stream seen once, and predict each batch after its change: scores [N, C].

    ``stream``: inputs [N, ...] and whatever else the rule's batches hold, [N, ...]; ``rule``: any learning rule, ``None`` for no change. With
    ``statistics`` batch normalisation takes the mean and variance of the batch, without it those of training. The model is left in evaluation
    mode. Raises ``ValueError`` for streams of unequal length, none at all, and a batch size below 1.
    """
    if batch_size < 1 or not stream or not len(stream[0]) or any(len(each) != len(stream[0]) for each in stream):
        raise ValueError(
            f"adapt takes tensors of one length and batches from 1 up, lengths {[len(each) for each in stream]} and {batch_size} were given."
        )
    model.train(statistics)
    state: Any = None if rule is None else rule.init(model)
    scores = []
    for batch in zip(*(each.split(batch_size) for each in stream), strict=True):
        if rule is not None:
            state, _ = rule.step(model, batch, state)
        with torch.no_grad():
            scores.append(model(batch[0]))
    model.eval()
    return torch.cat(scores)
