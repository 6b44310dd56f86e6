"""A whole sequence as one autograd function around the kernels, with its own rules under ``torch.vmap``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from neuropil.dynamics.kernels.layout import empty, flat
from neuropil.dynamics.kernels.machine import Machine

PLAIN = 4
"""How many arguments before the tensors."""
KEPT_NOTHING = "This sequence ran without gradients and kept no states to go back from; run it again with gradients enabled."


def as_machine(traced: Any, replicas: int, x: Tensor, own: Sequence[Tensor]) -> Machine:
    """The equation with its tensors, for inputs like ``x``."""
    return Machine(traced, dict(zip(traced.tensors, own, strict=True)), x.shape[-1], replicas)


class SequenceFunction(torch.autograd.Function):
    """``(traced, every, keep, replicas, x, *states, *own) -> (y, *last states, *kept)``; ``kept``: states before every ``every``-th moment, where asked.

    ``own``: the cell's tensors, [] or [N]. With ``replicas`` R > 0 they are [R] or [R, N], and x is [T, R, ..., N].
    """

    @staticmethod
    def forward(traced: Any, every: int, keep: bool, replicas: int, x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Run forwards."""
        count, moments = len(traced.fields), len(x)
        states, dtype = rest[:count], rest[0].dtype
        last = [state.detach().clone(memory_format=torch.contiguous_format) for state in states]
        y = empty(x.shape, dtype, x.device)
        kept = [empty(((moments - 1) // every + 1 if keep else 0, *state.shape), dtype, x.device) for state in states]
        if y.numel():
            machine = as_machine(traced, replicas, x, rest[count:])
            keeping = [flat(one, dtype, len(one)) for one in kept]
            machine.forwards(every, flat(x, dtype, moments), [one.view(-1) for one in last], y.view(moments, -1), keeping).run()
        return (y, *last, *kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep the input and the kept states, or the first."""
        ctx.traced, ctx.every, keep, ctx.replicas, x, *rest = inputs
        count = len(ctx.traced.fields)
        kept = output[1 + count :]
        ctx.mark_non_differentiable(*kept)
        ctx.save_for_backward(x, *(kept if keep else rest[:count]), *rest[count:])
        ctx.kept = keep

    @staticmethod
    def backward(ctx: Any, gy: Tensor, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Run backwards, through a function that may be mapped too."""
        count = len(ctx.traced.fields)
        x, *saved = ctx.saved_tensors
        kept, own = [one if ctx.kept else one.unsqueeze(0) for one in saved[:count]], saved[count:]
        if not ctx.kept and ctx.every < len(x):
            raise RuntimeError(KEPT_NOTHING)
        wanted = learned(ctx, PLAIN + 1 + count)
        gx, *found = _Backward.apply(ctx.traced, wanted, ctx.every, ctx.replicas, x, gy, *gradients[:count], *kept, *own)  # type: ignore[no-untyped-call]
        return (*(None,) * PLAIN, gx, *found[:count], *gathered(ctx, wanted, found[count:], own))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, Any]:
        """Make mapped axes leading ones, or replicas."""
        count = len(inputs[0].fields)
        axes = (1, *(0,) * count)  # where the new axis goes: behind time, before the others
        return vmap(SequenceFunction, info.batch_size, in_dims, inputs, axes, (1, *(0,) * count, *(1,) * count))


class LastDerivative(torch.autograd.Function):
    """Base of the functions that are a derivative and have none of their own."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Nothing is kept: there is no second derivative."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Refuse."""
        raise RuntimeError("Kernels have first derivatives only; use(backend='torch') has all, step by step.")


class _Backward(LastDerivative):
    """``(traced, learnable, every, replicas, x, gy, *g_states, *kept, *own) -> (gx, *gradients of the first states, *of learnable [..., N])``."""

    @staticmethod
    def forward(
        traced: Any, learnable: tuple[str, ...], every: int, replicas: int, x: Tensor, gy: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        count, moments = len(traced.fields), len(x)
        gradients, kept, own = rest[:count], rest[count : 2 * count], rest[2 * count :]
        dtype = kept[0].dtype
        first = [one.detach().to(dtype).clone(memory_format=torch.contiguous_format) for one in gradients]
        gx = empty(x.shape, dtype, x.device)
        sums = [torch.zeros(gradients[0].shape, dtype=dtype, device=x.device) for _ in learnable]
        if gx.numel():
            given = flat(x, dtype, moments), [flat(one, dtype, len(one)) for one in kept], flat(gy, dtype, moments)
            back = [one.view(-1) for one in first], gx.view(moments, -1), [one.view(-1) for one in sums]
            as_machine(traced, replicas, x, own).backwards(learnable, every, *given, *back).run()
        return (gx, *first, *sums)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, Any]:
        count = len(inputs[0].fields)
        axes = (1, 1, *(0,) * count, *(1,) * count)
        return vmap(_Backward, info.batch_size, in_dims, inputs, axes, (1, *(0,) * (count + len(inputs[1]))))


def remember_signatures(*functions: type[torch.autograd.Function]) -> None:
    """Keep what torch asks for at every call: to make it anew takes longer than a small kernel."""
    for function in functions:
        vars(function)["forward"].__func__.__signature__ = inspect.signature(function.forward)


remember_signatures(SequenceFunction, _Backward)


def learned(ctx: Any, before: int) -> tuple[str, ...]:
    """The names of the own tensors, behind ``before`` arguments, that want a gradient."""
    return tuple(name for name, needed in zip(ctx.traced.tensors, ctx.needs_input_grad[before:], strict=True) if needed)


def gathered(ctx: Any, wanted: tuple[str, ...], found: Sequence[Tensor], own: Sequence[Tensor]) -> list[Tensor | None]:
    """A gradient for every own tensor, summed to its shape, or None."""
    by_name = dict(zip(wanted, found, strict=True))
    return [
        _summed(by_name[name], tensor.ndim - (ctx.replicas > 0), ctx.replicas) if name in by_name else None
        for name, tensor in zip(ctx.traced.tensors, own, strict=True)
    ]


def _summed(gradient: Tensor, axes: int, replicas: int) -> Tensor:
    """Sum a gradient [..., N], or [R, ..., N], to [] or [N], or [R] or [R, N]."""
    rows = gradient.reshape(max(replicas, 1), -1, gradient.shape[-1]).sum((1, 2) if axes == 0 else 1)
    return rows if replicas else rows[0]


def vmap(
    function: Any, size: int, dims: Sequence[int | None], inputs: Sequence[Any], axes: Sequence[int], out: tuple[int, ...]
) -> tuple[Any, Any]:
    """Run under vmap: an axis of inputs becomes one more leading axis, one of the cell's own tensors makes replicas; two of those, one call each."""
    plain, tensors, where = inputs[:PLAIN], inputs[PLAIN:], dims[PLAIN:]
    own, own_dims = tensors[len(axes) :], where[len(axes) :]
    together = all(dim is None for dim in own_dims)
    if together or plain[-1] == 0:
        moved = [_moved(one, dim, axis, size) for one, dim, axis in zip(tensors, where, axes, strict=False)]
        if not together:
            plain, own = (*plain[:-1], size), [_moved(one, dim, 0, size) for one, dim in zip(own, own_dims, strict=True)]
        results = function.apply(*plain, *moved, *own)
        return results, out[: len(results)]
    results = tuple(torch.stack(parts) for parts in zip(*one_call_each(function, size, dims, inputs), strict=True))
    return results, (0,) * len(results)


def one_call_each(function: Any, size: int, dims: Sequence[int | None], inputs: Sequence[Any]) -> list[Any]:
    """Call a function for each place along the mapped axis of its inputs."""
    return [
        function.apply(*(one if dim is None else one.select(dim, place) for one, dim in zip(inputs, dims, strict=True)))
        for place in range(size)
    ]


def _moved(tensor: Tensor, dim: int | None, axis: int, size: int) -> Tensor:
    """The mapped axis, there or new, at ``axis``."""
    if dim is not None:
        return tensor.movedim(dim, axis)
    return tensor.unsqueeze(axis).expand(*tensor.shape[:axis], size, *tensor.shape[axis:])
