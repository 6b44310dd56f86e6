"""Products with spikes, event by event: ``W x`` and the gradient of ``W`` at the cost of the inputs that are not 0."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from neuropil.dynamics.kernels.compiled import Table, available, compiled
from neuropil.dynamics.kernels.layout import DTYPES, empty, flat
from neuropil.dynamics.kernels.machine import transforming
from neuropil.dynamics.kernels.sequence import LastDerivative, one_call_each, remember_signatures

_TEXT = """import numpy as np

real = np.{dtype}


def one_row(a, row_a, total):
    for m in range(total.shape[0]):
        total[m] += a * row_a[m]


def four_row(a, b, c, d, row_a, row_b, row_c, row_d, total):
    for m in range(total.shape[0]):
        total[m] += a * row_a[m] + b * row_b[m] + c * row_c[m] + d * row_d[m]


def events_row(x, found):
    n = 0
    for j in range(x.shape[0]):
        found[n] = j
        n += x[j] != real(0)
    return n


def product(x, weight, y, every, span, period, pieces, width, first, last):
    found = np.empty(x.shape[1] + 1, np.int64)
    for r in range(first * width, min(last * width, x.shape[0])):
        n = events_row(x[r], found)
        y[r, :] = real(0)
        for k in range(0, n - 3, 4):
            a, b, c, d = found[k], found[k + 1], found[k + 2], found[k + 3]
            four_row(x[r, a], x[r, b], x[r, c], x[r, d], weight[a], weight[b], weight[c], weight[d], y[r])
        for k in range(n // 4 * 4, n):
            one_row(x[r, found[k]], weight[found[k]], y[r])


def outer(x, weight, y, every, span, period, pieces, width, first, last):
    low, high = first * width, min(last * width, x.shape[1])
    found = np.empty(high - low + 1, np.int64)
    weight[low:high, :] = real(0)
    for r in range(x.shape[0]):
        n = events_row(x[r, low:high], found)
        for k in range(n):
            j = low + found[k]
            one_row(x[r, j], y[r], weight[j])
"""
"""``product``: pieces of rows of x [R, N] times weight [N, M] into y [R, M]. ``outer``: ``x^T y`` into weight, pieces of its rows."""
_ARRAYS = (("x", "(moments, neurons)"), ("weight", "(neurons, kept)"), ("y", "(moments, kept)"))
_ROWS = 128
_NARROW = 64
"""With fewer outputs a dense product is quicker than counting events."""


@lru_cache
def _text(dtype: str) -> str:
    return _TEXT.replace("{dtype}", dtype)


def _table(name: str, x: Tensor, weight: Tensor, y: Tensor) -> Table:
    length = len(x) if name == "product" else len(weight)
    width = _ROWS if name == "product" else -(-length // torch.get_num_threads())
    dtype = DTYPES[x.dtype]
    sizes = (-(-length // width), *x.shape, weight.shape[1], 1, 1, 1, 1, width)
    return Table(compiled(_text(dtype), name, _ARRAYS), sizes, [x, weight, y])


def event_product(x: Tensor, weight: Tensor) -> Tensor:
    """``x W^T`` of ``x`` [..., N] and ``weight`` [M, N], counting only the inputs that are not 0; densely for fewer than 64 outputs and where no kernel can be.

    What is 0 adds nothing, also to a weight that is not finite. Differentiable once in both; the gradient of ``x`` is a dense product.
    """
    dense = bool(available()) or len(weight) < _NARROW or x.device.type != "cpu" or x.dtype not in DTYPES or x.dtype != weight.dtype
    if dense or transforming() or torch.is_autocast_enabled(x.device.type):
        return x @ weight.mT
    y: Tensor = _Product.apply(x, weight)  # type: ignore[no-untyped-call]
    return y


class _Product(torch.autograd.Function):
    """``(x [..., N], weight [M, N]) -> y [..., M]``."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        y = empty((*x.shape[:-1], len(weight)), x.dtype, x.device)
        if y.numel():
            _table("product", flat(x, x.dtype, x.numel() // x.shape[-1]), weight.detach().mT.contiguous(), y.view(-1, len(weight))).run()
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gx = gradients[0] @ weight if ctx.needs_input_grad[0] else None
        return gx, _Outer.apply(x, gradients[0]) if ctx.needs_input_grad[1] else None  # type: ignore[no-untyped-call]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x: Tensor, weight: Tensor) -> tuple[Tensor, int]:
        if in_dims[1] is None:
            return _Product.apply(x.movedim(in_dims[0], 0), weight), 0  # type: ignore[no-untyped-call]
        return torch.stack(one_call_each(_Product, info.batch_size, in_dims, (x, weight))), 0


class _Outer(LastDerivative):
    """``(x [..., N], gy [..., M]) -> gradient of the weight [M, N]``."""

    @staticmethod
    def forward(x: Tensor, gy: Tensor) -> Tensor:
        weight = torch.zeros(x.shape[-1], gy.shape[-1], dtype=x.dtype)
        if x.numel() and gy.numel():
            rows = x.numel() // x.shape[-1]
            _table("outer", flat(x, x.dtype, rows), weight, flat(gy, x.dtype, rows)).run()
        return weight.mT

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x: Tensor, gy: Tensor) -> tuple[Tensor, int]:
        return torch.stack(one_call_each(_Outer, info.batch_size, in_dims, (x, gy))), 0


remember_signatures(_Product, _Outer)
