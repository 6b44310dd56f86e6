"""A learning rate that a network raises or lowers by the classes it chooses to take in, after simulating what each choice would do.

Equations, for a sample of which the network guesses the class ``g`` and whose true class is ``c`` (midpoint ``k``, step ``s``, floor ``f``):
``d(c) = +1 if c >= k else -1``; ``proposal = max(eta + s d(g), f)``; the sample is ingested if the accuracy on recent memory after an
update with ``proposal`` is strictly above that after an update with ``eta``; then ``eta <- max(eta + s d(c), f)``, so that a
misperceived class moves the rate the wrong way.

Source: man2022. Differs from the authors' code in that the floor also holds for rates between 0 and ``f``, which there remain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class HomeostaticState(NamedTuple):
    """``eta`` [R]: the learning rate of each replica, per update."""

    eta: Tensor


@dataclass(frozen=True)
class HomeostaticLearningRate:
    """Self-regulated learning rate: ``propose``, look ahead, ``decide``, ``ingest``; state in, state out, one entry a replica.

    ``step``: how far one ingested sample moves the rate (0 gives the constant rate exactly); ``midpoint``: the lowest class that
    raises it; ``floor``: the smallest rate. Source: man2022. Raises ``ValueError`` for a negative step or a floor that is not positive.
    """

    step: float
    midpoint: int = 5
    floor: float = 1e-8

    def __post_init__(self) -> None:
        if not self.step >= 0:
            raise ValueError(f"The step of the learning rate is 0 or more, {self.step} was given; give its size, the class gives its sign.")
        if not self.floor > 0:
            raise ValueError(f"The floor of the learning rate is above 0, {self.floor} was given; the paper's is 1e-8.")

    def initial(self, eta: float, replicas: int = 1, dtype: torch.dtype = torch.float64) -> HomeostaticState:
        """Start ``replicas`` rates at ``eta``, which is at least the floor."""
        if not eta >= self.floor:
            raise ValueError(f"The first learning rate is at least the floor {self.floor}, {eta} was given; raise it or lower the floor.")
        return HomeostaticState(torch.full((replicas,), eta, dtype=dtype))

    def direction(self, label: Tensor) -> Tensor:
        """Which way a class moves the rate: +1 where ``label`` [R] is at or above the midpoint, -1 elsewhere."""
        return torch.where(label >= self.midpoint, 1.0, -1.0)

    def shifted(self, state: HomeostaticState, direction: Tensor) -> Tensor:
        """``max(eta + step * direction, floor)`` [R]."""
        return (state.eta + self.step * direction.to(state.eta.dtype)).clamp(min=self.floor)

    def propose(self, state: HomeostaticState, guess: Tensor) -> Tensor:
        """Give the rate [R] that the network expects after taking in a sample it holds for class ``guess`` [R]."""
        return self.shifted(state, self.direction(guess))

    def decide(self, leave: Tensor, take: Tensor) -> Tensor:
        """Say where [R] the sample is taken in: memory accuracy ``take`` strictly above ``leave``; a tie leaves it."""
        return take > leave

    def ingest(self, state: HomeostaticState, label: Tensor, taken: Tensor) -> HomeostaticState:
        """Move the rate by the true class ``label`` [R] where ``taken`` [R], and keep it elsewhere."""
        return self.move(state, self.direction(label), taken)

    def move(self, state: HomeostaticState, direction: Tensor, taken: Tensor) -> HomeostaticState:
        """Move the rate one step in ``direction`` [R] where ``taken`` [R]: what ``ingest`` does, for controls that choose otherwise."""
        return HomeostaticState(torch.where(taken, self.shifted(state, direction), state.eta))


def lookahead(scores_after: Callable[[Tensor], Tensor], etas: Tensor, labels: Tensor) -> Tensor:
    """Count how many remembered samples would be right after an update with each candidate rate: [R, C] correct of M.

    ``etas`` [R, C]: candidates; ``scores_after(etas)`` [R, C, M, K]: class scores of the memory after such an update;
    ``labels`` [R, M]: the memory's current classes. Source: man2022.
    """
    if labels.shape[0] != etas.shape[0]:
        raise ValueError(f"etas [R, C] and labels [R, M] need the same R, {tuple(etas.shape)} and {tuple(labels.shape)} were given.")
    return (scores_after(etas).argmax(-1) == labels[:, None]).sum(-1)


def after_update(
    forward: Callable[[Sequence[Tensor], Tensor], Tensor], parameters: Sequence[Tensor], gradients: Sequence[Tensor], memory: Tensor
) -> Callable[[Tensor], Tensor]:
    """Give ``scores_after`` for any network: ``forward([p - eta g, ...], memory)`` for every candidate ``eta``.

    ``parameters`` and ``gradients``: [R, ...] each; ``memory`` [R, M, N]; ``forward`` maps them to scores [R, M, K]. Networks whose update is of
    low rank can give the same scores faster.
    """

    def scores_after(etas: Tensor) -> Tensor:
        scores = []
        for eta in etas.unbind(1):
            moved = [p - eta.to(p.dtype).reshape(-1, *[1] * (p.dim() - 1)) * g for p, g in zip(parameters, gradients, strict=True)]
            scores.append(forward(moved, memory))
        return torch.stack(scores, 1)

    return scores_after
