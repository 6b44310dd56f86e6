"""A second copy of a model that takes over its weights at random moments: a memory that stays consistent while the first one learns."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class StochasticCopy:
    """``theta_s <- keep theta_s + (1 - keep) theta`` with ``probability`` at each ``update``, otherwise theta_s stays.

    ``model`` is the copy, which needs no gradients. Of R models side by side, whose tensors are [R, ...], there is a generator each in ``generators`` and a decision each; a single model has one generator and its tensors as they are.
    Near 0, ``keep`` makes each update a snapshot (the authors' 0.0001 to 0.01); near 1 it makes the copy slow. Buffers are copied whole. Source: jeeveswaran2023.
    Raises ``ValueError`` for a keep or probability outside 0 to 1, no generator, and a model of other tensors.
    """

    def __init__(self, model: nn.Module, *, keep: float, probability: float, generators: Sequence[torch.Generator]) -> None:
        if not 0 <= keep <= 1 or not 0 <= probability <= 1 or not generators:
            raise ValueError(
                f"A StochasticCopy takes keep and probability from 0 to 1 and one generator or more, {keep}, {probability} and {len(generators)} were given."
            )
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.keep, self.probability, self.generators = keep, probability, tuple(generators)

    def update(self, model: nn.Module) -> Tensor:
        """Decide for each model whether its copy takes over, and say for which it did, bool [R]."""
        due: Tensor = torch.cat([torch.rand(1, generator=one, dtype=torch.float64) for one in self.generators]) < self.probability
        if bool(due.any()):
            self.take_over(model, due)
        return due

    @torch.no_grad()
    def take_over(self, model: nn.Module, due: Tensor | None = None) -> None:
        """Move the copies that are due, all if none are named, towards the model."""
        rows = torch.ones(len(self.generators), dtype=torch.bool) if due is None else due
        for held, new in self._pairs(model):
            own, its = (held, new.detach()) if len(self.generators) > 1 else (held[None], new.detach()[None])
            own[rows] = self.keep * own[rows] + (1 - self.keep) * its[rows] if held.is_floating_point() else its[rows]

    @torch.no_grad()
    def distance(self, model: nn.Module) -> Tensor:
        """``||theta - theta_s|| / ||theta||`` over the parameters that learn, f64 [R]."""
        count = len(self.generators)
        moved, size = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
        learning = {id(one) for one in model.parameters() if one.requires_grad}
        for held, new in self._pairs(model):
            if id(new) in learning:
                moved += (new - held).double().square().reshape(count, -1).sum(1)
                size += new.double().square().reshape(count, -1).sum(1)
        return (moved / size).sqrt()

    def _pairs(self, model: nn.Module) -> list[tuple[Tensor, Tensor]]:
        own, its = ([*one.parameters(), *one.buffers()] for one in (self.model, model))
        if [one.shape for one in own] != [one.shape for one in its] or (
            len(self.generators) > 1 and any(one.shape[:1] != (len(self.generators),) for one in own)
        ):
            raise ValueError(
                f"This StochasticCopy is of {len(self.generators)} models with tensors {[list(one.shape) for one in own]}, {[list(one.shape) for one in its]} were given."
            )
        return list(zip(own, its, strict=True))
