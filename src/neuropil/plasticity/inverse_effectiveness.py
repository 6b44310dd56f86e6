"""Inverse effectiveness: what senses say together is learned the more strongly the less each of them says alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def effectiveness(scores: Tensor, target: Tensor) -> Tensor:
    """How strongly class scores [..., B, K] speak for the true classes ``target`` [..., B]: the mean of ``softmax(scores)`` there, [...]."""
    return scores.softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1).mean(-1)


@dataclass(frozen=True)
class InverseEffectiveness:
    """A factor on the learning rate of a fusion layer, from how effective the senses are alone and together.

    Equation: ``xi = 1 + strength tanh(1 - rho)``, ``rho = mean_m s_m / s`` with ``s_m`` the effectiveness of sense m alone and ``s`` that of all together. At
    ``strength`` 1 it is 1 where the senses alone do as well as together, up to 1.76 where they alone say nothing, and near 0 where together they say less; at -1
    the sign is turned, at 0 it is 1 exactly.

    ``coefficient(alone, together)``: ``alone`` tensors [...] one a sense, ``together`` [...] -> ``xi`` [...]. Source: inverse-effectiveness-fusion2025 (the authors'
    code, which reads an intensity and does not use it). Raises ``ValueError`` for a strength beyond -1 to 1, where learning would turn round, and no sense.
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        if not -1 <= self.strength <= 1:
            raise ValueError(
                f"The strength of inverse effectiveness lies from -1 to 1, {self.strength!r} was given; beyond, learning would turn round."
            )

    def __call__(self, alone: Sequence[Tensor], together: Tensor) -> Tensor:
        """Give the factor ``xi``, which no gradient flows through."""
        if not alone:
            raise ValueError(
                "Inverse effectiveness compares senses alone with all together, none alone was given; give one tensor a sense."
            )
        ratio = torch.stack(list(alone)).detach().mean(0) / together.detach()
        return 1 + self.strength * torch.tanh(1 - ratio)
