"""Counts what learning costs a network: how many examples pass through it forwards, and how many gradients come back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Tally:
    """``forward`` and ``backward``: examples that went through, and gradients of examples that came back. A copy of a model counts with it."""

    def __init__(self) -> None:
        self.forward = self.backward = 0

    def __deepcopy__(self, memo: Any) -> Tally:
        return self


class CountedPasses(nn.Module):
    """A model that answers and learns as ``model`` does, and counts in ``tally`` the examples [B, ...] that pass.

    Examples under ``torch.func.vmap`` count one by one; so do those that a copy answers. A model with ``every`` (all heads at once) keeps it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.tally = model, Tally()

    def forward(self, *inputs: Tensor) -> Tensor:
        """``model(*inputs)``, counted."""
        counted: Tensor = _Answered.apply(self.model(*inputs), self.tally)  # type: ignore[no-untyped-call]
        return counted

    def every(self, x: Tensor) -> Tensor:
        """``model.every(x)``, counted."""
        counted: Tensor = _Answered.apply(self.model.every(x), self.tally)  # type: ignore[no-untyped-call, operator]
        return counted


class _Counting(torch.autograd.Function):
    """The identity; a subclass says in ``count`` what a number of examples is counted as."""

    @staticmethod
    def count(tally: Tally, examples: int) -> None:
        raise NotImplementedError

    @classmethod
    def forward(cls, x: Tensor, tally: Tally) -> Tensor:
        cls.count(tally, len(x))
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tally], output: Tensor) -> None:
        ctx.tally = inputs[1]

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, None], x: Tensor, tally: Tally) -> tuple[Tensor, int | None]:
        many = x if in_dims[0] is None else x.select(in_dims[0], 0)
        cls.count(tally, info.batch_size * len(many))
        return x.view_as(x), in_dims[0]


class _Returned(_Counting):
    @staticmethod
    def count(tally: Tally, examples: int) -> None:
        tally.backward += examples

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class _Answered(_Counting):
    @staticmethod
    def count(tally: Tally, examples: int) -> None:
        tally.forward += examples

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Returned.apply(gradient, ctx.tally), None  # type: ignore[no-untyped-call]
