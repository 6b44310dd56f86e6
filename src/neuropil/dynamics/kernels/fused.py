"""A cell's whole sequence as one kernel with gradients: when it may stand in for the steps, and the autograd functions around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from neuropil.dynamics.kernels.compiled import Array, available, compiled, run
from neuropil.dynamics.kernels.emit import emit
from neuropil.dynamics.kernels.trace import Side, Traced, Untraceable, own_by_name, trace

_CACHE = 1 << 19
"""Bytes: states computed again for one piece of neurons take about so much, half of a usual second-level cache."""
_NARROW, _WIDE = 256, 4096
"""Neurons in a piece, at least and at most."""
DTYPES = {torch.float32: "float32", torch.float64: "float64"}
_HOW = ("backend", "store")
"""Attributes that say how a cell is run and not what it computes."""
_traced: dict[Any, Traced | Untraceable] = {}


def configuration(module: nn.Module) -> tuple[Any, ...]:
    """All that decides a cell's equation but the numbers in its tensors: classes, attributes and names of tensors, of it and of all in it."""
    plain = tuple((name, _hashable(value)) for name, value in vars(module).items() if not name.startswith("_") and name not in _HOW)
    tensors = tuple(name for store in (module._parameters, module._buffers) for name in store)
    return type(module), plain, tensors, tuple((name, configuration(child)) for name, child in module._modules.items() if child is not None)


def _hashable(value: Any) -> Any:
    if isinstance(value, Tensor):
        raise Untraceable("it holds a tensor that is neither parameter nor buffer; assign nn.Buffer(tensor), so that kernels can read it")
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def equation(cell: Any) -> Traced:
    """The traced equation of a cell, traced once for a configuration. Raises ``Untraceable``."""
    key = configuration(cell)
    if key not in _traced:
        try:
            _traced[key] = trace(cell)
        except Untraceable as reason:
            _traced[key] = reason
    found = _traced[key]
    if isinstance(found, Untraceable):
        raise found
    return found


@lru_cache(maxsize=256)
def text(traced: Traced, learnable: tuple[str, ...], dtype: str) -> str:
    """The kernels' text, with gradients for ``learnable``."""
    return emit(traced.learning(learnable), dtype)


class Kernel(NamedTuple):
    """A cell's traced equation with its own tensors, in the equation's order, as they are now."""

    traced: Traced
    own: tuple[Tensor, ...]

    def run(self, x: Tensor, s: Any, store: str) -> tuple[Tensor, Any]:
        """Run over ``x`` [T, ..., N] from the state ``s``: ``y`` and the last state."""
        every = _every(len(x), len(s), s[0].element_size(), store)
        keep = torch.is_grad_enabled() and every < len(x)
        y, *rest = _Sequence.apply(self.traced, every, keep, x, *s, *self.own)  # type: ignore[no-untyped-call]
        return y, type(s)(*rest[: len(s)])


def kernel_for(cell: Any, x: Tensor, s: Any) -> Kernel | str:
    """The kernel that can run this sequence, or in words why none can."""
    if reason := available():
        return reason
    if x.device.type != "cpu":
        return f"the input lies on {x.device}"
    dtypes = {tensor.dtype for tensor in s}
    if len(dtypes) != 1 or not dtypes <= DTYPES.keys():
        return f"kernels compute in float32 or float64, the state holds {', '.join(str(dtype) for dtype in dtypes)}"
    own = tuple(tensor for _, tensor in own_by_name(cell))
    if any(tensor.ndim > 1 or (tensor.ndim == 1 and len(tensor) != x.shape[-1]) for tensor in own):
        return "a parameter is neither one number nor one a neuron"
    if torch.compiler.is_compiling():
        return "torch is compiling the model itself"
    if torch.autograd.forward_ad._current_level >= 0:
        return "kernels have no forward-mode derivative"
    try:
        return Kernel(equation(cell), own)
    except Untraceable as reason_not:
        return str(reason_not)


def _every(moments: int, fields: int, size: int, store: str) -> int:
    """Keep the state before every so many moments: each, or as few as can be computed again within the cache, or a root's share."""
    if store == "state":
        return 1
    return moments if moments * fields * size * _NARROW <= _CACHE else math.isqrt(moments - 1) + 1


class Place(NamedTuple):
    """How ``M`` flat neurons are cut: ``pieces`` a ``period``, each ``width`` wide, ``total`` in all."""

    period: int
    pieces: int
    width: int
    total: int

    @classmethod
    def of(cls, flat: int, features: int, fields: int, every: int, size: int) -> Place:
        """Pieces whose states, ``every`` moments of them, fit the cache."""
        wanted = min(max(_CACHE // (fields * every * size), _NARROW), _WIDE)
        if features >= wanted:
            pieces = -(-features // wanted)
            return cls(features, pieces, -(-features // pieces), flat // features * pieces)
        period = features * (wanted // features)
        return cls(period, 1, period, -(-flat // period))


def _coefficients(side: Side, own: dict[str, Tensor], features: int, period: int, dtype: torch.dtype) -> list[Array]:
    values = side.program.evaluate(side.coefficients, own)
    return [value.to(dtype).expand(features).repeat(period // features).numpy() for value in values]


def _flat(tensor: Tensor, dtype: torch.dtype, rows: int | None = None) -> Array:
    array: Array = tensor.detach().to(dtype).reshape(-1 if rows is None else (rows, -1)).contiguous().numpy()
    return array


def _empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Memory from NumPy, which asks Linux for huge pages; torch does not, and first touching a large array costs many times its kernel then."""
    return torch.from_numpy(np.empty(shape, DTYPES[dtype]))


class _Sequence(torch.autograd.Function):
    """``(traced, every, keep, x, *states, *own) -> (y, *last states, *kept)``; ``kept``: states before every ``every``-th moment, where asked."""

    @staticmethod
    def forward(traced: Traced, every: int, keep: bool, x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        count, moments = len(traced.fields), len(x)
        states, dtype = rest[:count], rest[0].dtype
        flat, features = states[0].numel(), x.shape[-1]
        place = Place.of(flat, features, count, every, states[0].element_size())
        last = [state.detach().clone(memory_format=torch.contiguous_format) for state in states]
        y = _empty(x.shape, dtype)
        kept = [_empty(((moments - 1) // every + 1 if keep else 0, *state.shape), dtype) for state in states]
        side = traced.forward
        own = {f"own.{name}": tensor.detach() for name, tensor in zip(traced.tensors, rest[count:], strict=True)}
        coefficients = _coefficients(side, own, features, place.period, dtype)
        kernel = compiled(
            text(traced, (), DTYPES[dtype]), "forward", (2, *(1,) * count, 2, *(2,) * count, *(1,) * len(coefficients)), DTYPES[dtype]
        )
        if flat:
            arrays = [_flat(x, dtype, moments), *(state.view(-1).numpy() for state in last), y.view(moments, -1).numpy()]
            arrays += [one.view(len(one), flat).numpy() for one in kept]
            run(kernel, [*arrays, *coefficients], (every, place.period, place.pieces, place.width), place.total)
        return (y, *last, *kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.traced, ctx.every, keep, x, *rest = inputs
        count = len(ctx.traced.fields)
        kept = output[1 + count :]
        ctx.mark_non_differentiable(*kept)
        ctx.save_for_backward(x, *(kept if keep else rest[:count]), *rest[count:])
        ctx.kept = keep

    @staticmethod
    def backward(ctx: Any, gy: Tensor, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        count = len(ctx.traced.fields)
        x, *saved = ctx.saved_tensors
        kept, own = [one if ctx.kept else one.unsqueeze(0) for one in saved[:count]], saved[count:]
        if not ctx.kept and ctx.every < len(x):
            raise RuntimeError(
                "This sequence ran without gradients and kept no states to go back from; run it again with gradients enabled."
            )
        wanted = [name for name, needed in zip(ctx.traced.tensors, ctx.needs_input_grad[4 + count :], strict=True) if needed]
        gx, *found = _Backward.apply(ctx.traced, tuple(wanted), ctx.every, x, gy, *gradients[:count], *kept, *own)  # type: ignore[no-untyped-call]
        sums = {name: _summed(one, own[ctx.traced.tensors.index(name)]) for name, one in zip(wanted, found[count:], strict=True)}
        return (None, None, None, gx, *found[:count], *(sums.get(name) for name in ctx.traced.tensors))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, Any]:
        count = len(inputs[0].fields)
        axes = (1, *(0,) * count)  # where the new axis goes: behind time, before the others
        return _vmap(_Sequence, info.batch_size, in_dims, inputs, 3, axes, (1, *(0,) * count, *(1,) * count))


class _Backward(torch.autograd.Function):
    """``(traced, learnable, every, x, gy, *g_states, *kept, *own) -> (gx, *gradients of the first states, *gradients of learnable [..., N])``."""

    @staticmethod
    def forward(traced: Traced, learnable: tuple[str, ...], every: int, x: Tensor, gy: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        count, moments = len(traced.fields), len(x)
        gradients, kept = rest[:count], rest[count : 2 * count]
        dtype, flat, features = kept[0].dtype, gradients[0].numel(), x.shape[-1]
        place = Place.of(flat, features, count, every, kept[0].element_size())
        sides = traced.learning(learnable)
        own = {f"own.{name}": tensor.detach() for name, tensor in zip(traced.tensors, rest[2 * count :], strict=True)}
        coefficients = [_coefficients(side, own, features, place.period, dtype) for side in (sides.forward, sides.backward)]
        first = [one.detach().to(dtype).clone(memory_format=torch.contiguous_format) for one in gradients]
        gx = _empty(x.shape, dtype)
        sums = [torch.zeros(gradients[0].shape, dtype=dtype) for _ in learnable]
        axes = (2, *(2,) * count, 2, *(1,) * count, 2, *(1,) * (len(sums) + len(coefficients[0]) + len(coefficients[1])))
        kernel = compiled(text(traced, learnable, DTYPES[dtype]), "backward", axes, DTYPES[dtype])
        if flat:
            arrays = [_flat(x, dtype, moments), *(_flat(one, dtype, len(one)) for one in kept), _flat(gy, dtype, moments)]
            arrays += [one.view(-1).numpy() for one in first] + [gx.view(moments, -1).numpy()] + [one.view(-1).numpy() for one in sums]
            run(kernel, [*arrays, *coefficients[0], *coefficients[1]], (every, place.period, place.pieces, place.width), place.total)
        return (gx, *first, *sums)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Nothing is kept: there is no second derivative."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise RuntimeError("Kernels have first derivatives only; use(backend='torch') has all, step by step.")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, Any]:
        count = len(inputs[0].fields)
        axes = (1, 1, *(0,) * count, *(1,) * count)
        return _vmap(_Backward, info.batch_size, in_dims, inputs, 3, axes, (1, *(0,) * (count + len(inputs[1]))))


def _summed(gradient: Tensor, own: Tensor) -> Tensor:
    """Sum a gradient [..., N] to the shape of the tensor it belongs to, [] or [N]."""
    if own.ndim == 0:
        return gradient.sum()
    return gradient.flatten(0, -2).sum(0) if gradient.ndim > 1 else gradient


def _vmap(
    function: Any, size: int, dims: Sequence[int | None], inputs: Sequence[Any], plain: int, axes: Sequence[int], out: tuple[int, ...]
) -> tuple[Any, Any]:
    """Run under vmap: an axis of inputs becomes one more leading axis; where the cell's own tensors have the axis, one call each."""
    tensors, where = inputs[plain:], dims[plain:]
    if all(dim is None for dim in where[len(axes) :]):
        moved = [
            (one.unsqueeze(axis).expand(*one.shape[:axis], size, *one.shape[axis:]) if dim is None else one.movedim(dim, axis))
            for one, dim, axis in zip(tensors, where, axes, strict=False)
        ]
        results = function.apply(*inputs[:plain], *moved, *tensors[len(axes) :])
        return results, out[: len(results)]
    calls = [
        function.apply(*inputs[:plain], *(one if dim is None else one.select(dim, place) for one, dim in zip(tensors, where, strict=True)))
        for place in range(size)
    ]
    results = tuple(torch.stack(parts) for parts in zip(*calls, strict=True))
    return results, (0,) * len(results)
