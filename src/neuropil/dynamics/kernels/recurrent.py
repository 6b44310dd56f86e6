"""A cell that hears itself, ``y(t) = cell(x(t) + W y(t - 1))``, over a whole sequence: one matrix product and one kernel a moment.

The weights' gradient is one product over all moments. States and inputs are computed again in blocks of about sqrt(T) moments, by the same
products, so that they are the very numbers of the way forward.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neuropil.dynamics.kernels.fused import Kernel
from neuropil.dynamics.kernels.layout import empty, flat
from neuropil.dynamics.kernels.sequence import KEPT_NOTHING, PLAIN, LastDerivative, as_machine, gathered, learned, remember_signatures, vmap
from neuropil.dynamics.kernels.trace import Traced


class RecurrentKernel(NamedTuple):
    """The kernel of a cell, and the weights [N, N] from its last output to its input."""

    inner: Kernel
    weight: Tensor

    def run(self, x: Tensor, s: Any, store: str) -> tuple[Tensor, Any]:
        """Run over ``x`` [T, ..., N] from a state of ``cell`` and ``output`` [..., N]."""
        every = 1 if store == "state" else math.isqrt(len(x) - 1) + 1
        given = (self.inner.traced, every, torch.is_grad_enabled(), 0, x, s.output, *s.cell, self.weight, *self.inner.own)
        y, *rest = _Recurrent.apply(*given)  # type: ignore[no-untyped-call]
        return y, s._replace(cell=type(s.cell)(*rest[: len(s.cell)]), output=y[-1])

    def run_watched(self, x: Tensor, s: Any) -> tuple[Tensor, Any, Any]:
        """Run; of the state, the output is seen over time."""
        y, last = self.run(x, s, "recompute")
        return y, last, s._replace(cell=None, output=y)

    def words(self, moments: int) -> str:
        """A product and an update, again and again."""
        return f"{moments} moments, each one matrix product and one update compiled by {self.inner.compiler}"


class _Recurrent(torch.autograd.Function):
    """``(traced, every, keep, replicas, x, output, *states, weight, *own) -> (y, *last states, *kept)``, as ``SequenceFunction``; weight [N, N] or [R, N, N]."""

    @staticmethod
    def forward(traced: Traced, every: int, keep: bool, replicas: int, x: Tensor, output: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        count, dtype = len(traced.fields), rest[0].dtype
        states, weight, own = rest[:count], rest[count], rest[count + 1 :]
        last = [state.detach().clone(memory_format=torch.contiguous_format) for state in states]
        y = empty(x.shape, dtype, x.device)
        kept = [empty(((len(x) - 1) // every + 1 if keep else 0, *state.shape), dtype, x.device) for state in states]
        if y.numel():
            given, rows = empty(x.shape[1:], dtype, x.device), [one.view(-1) for one in last]
            none = [row.new_empty((0, len(row))) for row in rows]
            table = as_machine(traced, replicas, x, own).forwards(1, given.view(1, -1), rows, y[0].view(1, -1), none)
            for t, moment in enumerate(x):
                if keep and t % every == 0:
                    for one, state in zip(kept, last, strict=True):
                        one[t // every] = state
                torch.add(moment, _product(y[t - 1] if t else output, weight.mT, replicas), out=given)
                table.put(1 + count, y[t])
                table.run()
        return (y, *last, *kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.traced, ctx.every, ctx.keep, ctx.replicas, x, first, *rest = inputs
        count = len(ctx.traced.fields)
        ctx.mark_non_differentiable(*output[1 + count :])
        ctx.save_for_backward(x, output[0], first, *output[1 + count :], *rest[count:])

    @staticmethod
    def backward(ctx: Any, gy: Tensor, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if not ctx.keep:
            raise RuntimeError(KEPT_NOTHING)
        count = len(ctx.traced.fields)
        x, y, output, *saved = ctx.saved_tensors
        weight, own = saved[count], saved[count + 1 :]
        wanted = learned(ctx, PLAIN + 3 + count)
        plain = (ctx.traced, wanted, ctx.every, ctx.replicas)
        gx, *found = _RecurrentBackward.apply(*plain, x, y, output, gy, *gradients[:count], *saved[:count], weight, *own)  # type: ignore[no-untyped-call]
        g_weight = _outer(gx[:1], output.unsqueeze(0), ctx.replicas)
        if len(gx) > 1:
            g_weight = g_weight + _outer(gx[1:], y[:-1], ctx.replicas)
        g_output = _product(gx[0], weight, ctx.replicas)
        return (*(None,) * PLAIN, gx, g_output, *found[:count], g_weight, *gathered(ctx, wanted, found[count:], own))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, Any]:
        count = len(inputs[0].fields)
        return vmap(_Recurrent, info.batch_size, in_dims, inputs, (1, *(0,) * (1 + count)), (1, *(0,) * count, *(1,) * count))


class _RecurrentBackward(LastDerivative):
    """``(traced, learnable, every, replicas, x, y, output, gy, *g_states, *kept, weight, *own) -> (gx, *of the first states, *of learnable [..., N])``."""

    @staticmethod
    def forward(
        traced: Traced,
        learnable: tuple[str, ...],
        every: int,
        replicas: int,
        x: Tensor,
        y: Tensor,
        output: Tensor,
        gy: Tensor,
        *rest: Tensor,
    ) -> tuple[Tensor, ...]:
        count, dtype, moments = len(traced.fields), y.dtype, len(x)
        gradients, kept, weight, own = rest[:count], rest[count : 2 * count], rest[2 * count], rest[2 * count + 1 :]
        first = [one.detach().to(dtype).clone(memory_format=torch.contiguous_format) for one in gradients]
        gx = empty(x.shape, dtype, x.device)
        sums = [torch.zeros(first[0].shape, dtype=dtype, device=x.device) for _ in learnable]
        if not gx.numel():
            return (gx, *first, *sums)
        machine, size = as_machine(traced, replicas, x, own), moments if every == 1 else every
        given, heard = empty((size, *x.shape[1:]), dtype, x.device), empty(x.shape[1:], dtype, x.device)
        states = (
            [flat(one, dtype, moments) for one in kept] if every == 1 else [empty((size, first[0].numel()), dtype, x.device) for _ in kept]
        )
        back = [one.view(-1) for one in first], gx[0].view(1, -1), [one.view(-1) for one in sums]
        table = machine.backwards(learnable, 1, given[:1].view(1, -1), [one[:1] for one in states], heard.view(1, -1), *back)
        for begin in range((moments - 1) // size * size, -1, -size):
            inside = range(begin, min(begin + size, moments))
            for t in inside:
                torch.add(x[t], _product(y[t - 1] if t else output, weight.mT, replicas), out=given[t - begin])
            if every > 1:
                start = [flat(one[begin // every], dtype).clone() for one in kept]
                rows = given[: len(inside)].view(len(inside), -1)
                machine.forwards(1, rows, start, torch.empty_like(rows), [one[: len(inside)] for one in states]).run()
            for t in reversed(inside):
                heard.copy_(gy[t] if t == moments - 1 else gy[t] + _product(gx[t + 1], weight, replicas))
                for place, array in enumerate((given, *states)):
                    table.put(place, array[t - begin])
                table.put(2 + 2 * count, gx[t])
                table.run()
        return (gx, *first, *sums)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, Any]:
        count = len(inputs[0].fields)
        axes = (1, 1, 0, 1, *(0,) * count, *(1,) * count)
        return vmap(_RecurrentBackward, info.batch_size, in_dims, inputs, axes, (1, *(0,) * (count + len(inputs[1]))))


remember_signatures(_Recurrent, _RecurrentBackward)


def _product(x: Tensor, weight: Tensor, replicas: int) -> Tensor:
    """``x`` [..., N] times [N, M], or [R, ..., N] times [R, N, M]."""
    if not replicas:
        return x @ weight
    return (x.reshape(replicas, -1, x.shape[-1]) @ weight).reshape(x.shape)


def _outer(gradient: Tensor, heard: Tensor, replicas: int) -> Tensor:
    """The sum over moments and leading axes of ``gradient heard^T``: [N, N], or [R, N, N] of each replica."""
    if not replicas:
        return gradient.reshape(-1, gradient.shape[-1]).mT @ heard.reshape(-1, heard.shape[-1])
    one, other = (tensor.movedim(1, 0).reshape(replicas, -1, tensor.shape[-1]) for tensor in (gradient, heard))
    return one.mT @ other
