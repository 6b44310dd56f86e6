"""Modules with axes of space in NIR: convolutions, average pooling, flattening. Shapes are those of one moment, without time and batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neuropil.exchange.nodes import array, nir_package, write_notes
from neuropil.synapses import Conv

CONVOLUTIONS = (Conv, nn.Conv1d, nn.Conv2d)
SPACE = (*CONVOLUTIONS, nn.AvgPool2d, nn.Flatten)
READABLE = ("Conv1d", "Conv2d", "AvgPool2d", "SumPool2d", "Flatten")


def space_node(module: Any, size: int | tuple[int, ...] | None) -> Any:
    """The NIR node of a module of ``SPACE`` for one moment of shape ``size``. Raises ``ValueError`` where there is none, with the reason."""
    name = type(module).__name__
    if not isinstance(size, tuple):
        raise ValueError(
            f"{name} cannot be written for NIR: the shape of its input is not known; give to_nir size=(channels, height, width)."
        )
    if isinstance(module, CONVOLUTIONS):
        node = _convolution(module, size)
    elif isinstance(module, nn.AvgPool2d):
        if module.ceil_mode or module.divisor_override or (np.any(module.padding) and not module.count_include_pad):
            raise ValueError(f"{name} cannot be written for NIR: there is one mean of all places; use its defaults.")
        pairs = {key: np.array(_many(getattr(module, key), 2)) for key in ("kernel_size", "stride", "padding")}
        node = nir_package().AvgPool2d(**pairs, metadata=write_notes(module, {}))
    else:
        start, end = (dim if dim < 0 else dim - 1 - len(size) for dim in (module.start_dim, module.end_dim))
        if not -len(size) <= start <= end < 0:
            raise ValueError(
                f"{name} cannot be written for NIR: it flattens more than the axes {list(size)} of one moment; begin at axis 1."
            )
        node = nir_package().Flatten({"input": np.array(size)}, start_dim=start + len(size), end_dim=end + len(size))
    with torch.no_grad():
        example = torch.zeros(1, *size, dtype=next((one.dtype for one in module.parameters()), None))
        node.input_type = {"input": np.array(size)}
        node.output_type = {"output": np.array(module(example).shape[1:])}
    return node


def _convolution(module: Any, size: tuple[int, ...]) -> Any:
    name, dims = type(module).__name__, module.weight.ndim - 2
    kernel, groups = module.weight.shape[2:], getattr(module, "groups", 1)
    if groups != 1 or len(set(kernel)) != 1 or getattr(module, "padding_mode", "zeros") != "zeros":
        raise ValueError(
            f"{name} cannot be written for NIR: nir knows the shapes of square kernels, one group and padding by 0; use such a one."
        )
    if len(size) != dims + 1 or size[0] != module.weight.shape[1]:
        raise ValueError(
            f"{name} takes [{module.weight.shape[1]} channels, {dims} axes of space], {list(size)} arrives; give to_nir that size."
        )
    bias = getattr(module, "bias", None)
    numbers = {key: _many(getattr(module, key, 1), dims) for key in ("stride", "dilation")}
    padding = module.padding if isinstance(module.padding, str) else _many(module.padding, dims)
    one = {key: value if dims == 2 else value[0] for key, value in numbers.items()}
    return getattr(nir_package(), f"Conv{dims}d")(
        input_shape=size[1:] if dims == 2 else size[1],
        weight=array(module.weight),
        padding=padding if dims == 2 or isinstance(padding, str) else padding[0],
        groups=1,
        bias=array(torch.zeros(module.weight.shape[0], dtype=module.weight.dtype) if bias is None else bias),
        metadata=write_notes(module, {}),
        **one,
    )


def _many(value: Any, dims: int) -> Any:
    """``dims`` whole numbers of one, or of as many."""
    return tuple(int(one) for one in np.broadcast_to(np.ravel(value), (dims,)))


def space_module(node: Any, name: str, dtype: torch.dtype) -> nn.Module:
    """The module of a node of ``READABLE``. Raises ``ValueError`` where its shape is not known."""
    kind = type(node).__name__
    if kind == "Flatten":
        shape = node.input_type["input"]
        if shape is None:
            raise ValueError(f"Node {name!r} flattens a shape that is not given; give it its input_type.")
        return nn.Flatten(*(int(dim) - len(shape) if dim >= 0 else int(dim) for dim in (node.start_dim, node.end_dim)))
    if kind.endswith("Pool2d"):
        kernel, stride, padding = (_many(getattr(node, key), 2) for key in ("kernel_size", "stride", "padding"))
        return nn.AvgPool2d(kernel, stride, padding, divisor_override=1 if kind == "SumPool2d" else None)
    weight: Tensor = torch.as_tensor(np.asarray(node.weight), dtype=dtype)
    bias: Tensor = torch.as_tensor(np.asarray(node.bias), dtype=dtype)
    dims, groups = weight.ndim - 2, int(node.groups)
    border: Any = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    module: nn.Conv1d | nn.Conv2d = nn.utils.skip_init(
        nn.Conv2d if dims == 2 else nn.Conv1d,
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        stride=_many(node.stride, dims),
        padding=border if isinstance(border, str) else _many(border, dims),
        dilation=_many(node.dilation, dims),
        groups=groups,
        bias=bool(bias.any()),
        dtype=dtype,
    )
    with torch.no_grad():
        module.weight.copy_(weight)
        if module.bias is not None:
            module.bias.copy_(bias)
    return module
