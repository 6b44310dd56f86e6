"""Synthetic gradients: a small network that says what the gradient of a hidden state will be, before it can be known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from neuropil.synapses.synapse import check_size


class SyntheticGradient(nn.Module):
    """Predict the gradient of a loss for a hidden state from that state and a modulator: ``g = V tanh(U (h, m) + u) + v``.

    h [..., units] and m [..., modulators] -> g [..., units]. ``V`` and ``v`` begin at 0, so that nothing is predicted at first; ``U`` is uniform in +-1 / sqrt(units + modulators), from ``generator``, and ``u`` 0.
    ``taught(h, g)`` teaches it the true gradient while that passes. Raises ``ValueError`` for sizes below 1. Source: jaderberg2017; the modulator: fast-slow-synthetic-grad-memory2020 (our reading).
    """

    def __init__(self, units: int, modulators: int, hidden: int = 32, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        for name, value in (("units", units), ("modulators", modulators), ("hidden", hidden)):
            check_size(value, name, "SyntheticGradient")
        self.inner, self.outer = nn.Linear(units + modulators, hidden), nn.Linear(hidden, units)
        bound = (units + modulators) ** -0.5
        nn.init.uniform_(self.inner.weight, -bound, bound, generator=generator)
        for tensor in (self.inner.bias, self.outer.weight, self.outer.bias):
            nn.init.zeros_(tensor)

    def forward(self, h: Tensor, modulator: Tensor) -> Tensor:
        """Say what the gradient for ``h`` will be; nothing flows back into ``h`` or the modulator."""
        g: Tensor = self.outer(self.inner(torch.cat((h.detach(), modulator.detach()), -1)).tanh())
        return g


class _Taught(torch.autograd.Function):
    """The identity on h, whose backward pass hands the prediction the gradient of half its squared error."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h: Tensor, predicted: Tensor, share: float) -> Tensor:
        del predicted, share
        return h.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: Tensor) -> None:
        del output
        ctx.save_for_backward(inputs[1])
        ctx.share = inputs[2]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (predicted,), (gradient,) = ctx.saved_tensors, gradients
        return gradient, ctx.share * predicted - gradient, None


def taught(h: Tensor, predicted: Tensor, share: float = 1.0) -> Tensor:
    """Give ``h`` back, and let whoever predicted its gradient learn from the true one: one backward pass of L descends ``L + share / 2 |predicted - dL / dh / share|^2``.

    ``share`` is what one item weighs in L (1 / items where L is a mean over items): the prediction is of the gradient of an item's own loss. h and predicted [..., units]; the true gradient is taken as a constant.
    """
    passed: Tensor = _Taught.apply(h, predicted, share)  # type: ignore[no-untyped-call]
    return passed
