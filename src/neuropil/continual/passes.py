"""Counts what learning costs a network: how many examples pass through it forwards, and how many gradients come back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Tally:
    """``forward`` and ``backward``: examples that went through, and gradients of examples that came back. A copy of a model counts with it."""

    def __init__(self) -> None:
        self.forward = self.backward = 0

    def __deepcopy__(self, memo: Any) -> Tally:
        return self


def _counted(answers: Tensor, tally: Tally) -> Tensor:
    """Answers [B, ...] as they are: B examples are counted now, and as many gradients when they come back. Under ``torch.func.vmap`` examples count one by one."""
    found: Tensor = _Answered.apply(answers, tally)  # type: ignore[no-untyped-call]
    return found


@contextmanager
def counted_passes(model: nn.Module) -> Iterator[Tally]:
    """Count in the tally given the examples that ``model(...)`` and ``model.every(...)`` answer, copies of the model made meanwhile included; nothing else changes.

    Answers that are not one tensor are not counted.
    """
    tally = Tally()
    hook = model.register_forward_hook(_Answers(tally))
    every = hasattr(model, "every")
    if every:
        model.every = _Every(model, tally)  # type: ignore[assignment]
    try:
        yield tally
    finally:
        hook.remove()
        if every:
            del model.every


class _Answers:
    """A forward hook that counts answers; a class, so that a model can be pickled with it."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def __call__(self, model: nn.Module, inputs: Any, answers: Any) -> Any:
        return _counted(answers, self.tally) if isinstance(answers, Tensor) else answers


class _Every:
    """``model.every``, counted; in a copy of the model, the copy's."""

    def __init__(self, model: nn.Module, tally: Tally) -> None:
        self.model, self.tally = model, tally

    def __deepcopy__(self, memo: dict[int, Any]) -> _Every:
        return _Every(memo[id(self.model)], self.tally)

    def __call__(self, x: Tensor) -> Tensor:
        return _counted(type(self.model).every(self.model, x), self.tally)  # type: ignore[attr-defined]


class _Counting(torch.autograd.Function):
    """The identity; a subclass says in ``count`` what a number of examples is counted as."""

    @staticmethod
    def count(tally: Tally, examples: int) -> None:
        raise NotImplementedError

    @classmethod
    def forward(cls, x: Tensor, tally: Tally) -> Tensor:
        cls.count(tally, len(x))
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tally], output: Tensor) -> None:
        ctx.tally = inputs[1]

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, None], x: Tensor, tally: Tally) -> tuple[Tensor, int | None]:
        many = x if in_dims[0] is None else x.select(in_dims[0], 0)
        cls.count(tally, info.batch_size * len(many))
        return x.clone(), in_dims[0]


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
