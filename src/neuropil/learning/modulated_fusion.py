"""Modulated fusion: backpropagation whose fusion layer learns faster or slower from batch to batch, by how effective the senses are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuropil.learning.backprop import Backprop
from neuropil.learning.replicas import Replicas
from neuropil.plasticity.inverse_effectiveness import effectiveness


class FusionState(NamedTuple):
    """The optimiser, and how many updates there were."""

    optimizer: torch.optim.Optimizer
    update: int


class ModulatedFusion:
    """Gradient descent on the cross-entropies of every head and of the fusion, with the gradient of the fusion layer times a factor of the batch.

    ``L = heads sum_m CE(alone_m) + CE(together)``; the gradient g of each tensor of ``model.fusion`` becomes ``xi g + noise sd(g) n``, ``n`` standard normal,
    ``sd(g)`` over the numbers of the tensor; then the optimiser steps. ``coefficient(update, alone, together)`` gives xi from the number of the update and the
    effectiveness of the senses in the batch: ``InverseEffectiveness()`` of the last two, or anything else. A model maps senses to
    ``(alone_1, ..., together)`` as ``FusionNet`` does; a batch is ``(x_1, ..., x_M, target)``. ``Replicas`` [R, ...] learn together, with a
    factor [R] and noise of their own.

    Metrics: ``loss``, ``coefficient``, ``weakness`` (1 less the mean effectiveness of the senses alone), as they were before the step. Source:
    inverse-effectiveness-fusion2025, by the authors' code, whose noise is always 1 and which has heads in the modulated arm only.
    Raises ``ValueError`` for negative noise or weight of the heads, and for noise without a generator.
    """

    def __init__(
        self,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        coefficient: Callable[[int, Sequence[Tensor], Tensor], Tensor | float],
        *,
        heads: float = 1.0,
        noise: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        if not heads >= 0:
            raise ValueError(f"heads, the weight of their losses, is 0 or more, {heads!r} was given.")
        if not noise >= 0 or (noise and generator is None):
            raise ValueError(
                f"noise is 0 or more and is drawn from a generator, {noise!r} and {type(generator).__name__} were given; give both."
            )
        self.optimizer, self.coefficient = optimizer, coefficient
        self.heads, self.noise, self.generator = heads, noise, generator

    def init(self, model: nn.Module) -> FusionState:
        """Make the optimiser."""
        return FusionState(self.optimizer(model.parameters()), 0)

    def hindrance(self, replicas: Replicas) -> str | None:
        """Say in words why these replicas cannot learn together, or None where they can."""
        return Backprop(self.optimizer, cross_entropy).hindrance(replicas)

    def step(self, model: nn.Module, batch: Sequence[Tensor], state: FusionState) -> tuple[FusionState, dict[str, Tensor]]:
        """Take one step."""
        *senses, target = batch
        state.optimizer.zero_grad(set_to_none=True)
        scores = model(*senses)
        *apart, whole = [_cross_entropy(one, target) for one in scores]
        loss = self.heads * torch.stack(apart).sum(0) + whole
        torch.autograd.backward(loss.sum())
        *alone, together = [effectiveness(one.detach(), target) for one in scores]
        xi = torch.as_tensor(self.coefficient(state.update, alone, together), dtype=together.dtype).expand(together.shape)
        self._modulate(model.model.fusion if isinstance(model, Replicas) else model.fusion, xi)  # type: ignore[arg-type]
        state.optimizer.step()
        weakness = 1 - torch.stack(alone).mean(0)
        return FusionState(state.optimizer, state.update + 1), {"loss": loss.detach(), "coefficient": xi, "weakness": weakness}

    @torch.no_grad()
    def _modulate(self, fusion: nn.Module, xi: Tensor) -> None:
        for one in fusion.parameters():
            if one.grad is None:
                continue
            gradient = one.grad.flatten(xi.ndim)
            changed = xi.unsqueeze(-1) * gradient
            if self.noise:
                drawn = torch.randn(gradient.shape, generator=self.generator, dtype=gradient.dtype)
                changed = changed + self.noise * gradient.std(-1, keepdim=True) * drawn
            one.grad = changed.view_as(one)


def _cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    """Mean over the batch of scores [..., B, K] for classes [..., B]: [...], one number a replica."""
    return -scores.log_softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1).mean(-1)
