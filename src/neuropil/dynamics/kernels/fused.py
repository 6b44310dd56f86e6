"""A cell's whole sequence as one kernel with gradients: when it may stand in for the steps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from neuropil.dynamics.kernels.layout import DTYPES, every
from neuropil.dynamics.kernels.machine import COMPILERS, missing, transforming
from neuropil.dynamics.kernels.sequence import SequenceFunction
from neuropil.dynamics.kernels.trace import Traced, Untraceable, own_by_name, trace

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
    """The traced equation of a cell, traced once for a configuration. Raises ``Untraceable``.

    A thread of its own traces it, where none of the caller's contexts (``no_grad``, ``autocast``, ``vmap``, ...) can change what is written down.
    """
    key = configuration(cell)
    if key not in _traced:
        with ThreadPoolExecutor(1) as aside:
            future = aside.submit(trace, cell)
        error = future.exception()
        if error is not None and not isinstance(error, Untraceable):
            raise error
        _traced[key] = error or future.result()
    found = _traced[key]
    if isinstance(found, Untraceable):
        raise found
    return found


class Runs(Protocol):
    """What can run a sequence in place of the steps."""

    def run(self, x: Tensor, s: Any, store: str) -> tuple[Tensor, Any]:
        """Run over ``x`` [T, ..., N] from the state ``s``: ``y`` and the last state."""
        ...

    def run_watched(self, x: Tensor, s: Any) -> tuple[Tensor, Any, Any]:
        """Run and give also the states after every moment, fields [T, ..., N], without gradients of their own."""
        ...

    def words(self, moments: int) -> str:
        """Say how it runs so many moments."""
        ...


class Kernel(NamedTuple):
    """A cell's traced equation with its own tensors, in the equation's order, as they are now; and what compiles it where they are."""

    traced: Traced
    own: tuple[Tensor, ...]
    compiler: str

    def run(self, x: Tensor, s: Any, store: str) -> tuple[Tensor, Any]:
        """Run from the state ``s``."""
        y, last, _ = self._run(x, s, every(len(x), len(s), s[0].element_size(), store, cached=self.compiler == "Numba"))
        return y, last

    def run_watched(self, x: Tensor, s: Any) -> tuple[Tensor, Any, Any]:
        """Run and keep all states."""
        y, last, before = self._run(x, s, 1, keep=True)
        return y, last, type(s)(*(torch.cat((one[1:], end.detach().unsqueeze(0))) for one, end in zip(before, last, strict=True)))

    def words(self, moments: int) -> str:
        """One kernel for all."""
        return f"{moments} moments as one kernel compiled by {self.compiler}"

    def _run(self, x: Tensor, s: Any, each: int, keep: bool = False) -> tuple[Tensor, Any, list[Tensor]]:
        keep = keep or (torch.is_grad_enabled() and each < len(x))
        y, *rest = SequenceFunction.apply(self.traced, each, keep, 0, x, *s, *self.own)  # type: ignore[no-untyped-call]
        return y, type(s)(*rest[: len(s)]), rest[len(s) :]


def kernel_for(cell: Any, x: Tensor, s: Any) -> Kernel | str:
    """The kernel that can run this sequence, or in words why none can."""
    if reason := missing(x.device.type):
        return reason
    dtypes = {tensor.dtype for tensor in s}
    if len(dtypes) != 1 or not dtypes <= DTYPES.keys():
        return f"kernels compute in float32 or float64, the state holds {', '.join(str(dtype) for dtype in dtypes)}"
    if any(type(store) is not dict for module in cell.modules() for store in (module._parameters, module._buffers)):
        return "its parameters are held"
    own = tuple(tensor for _, tensor in own_by_name(cell))
    if any(tensor.ndim > 1 or (tensor.ndim == 1 and len(tensor) != x.shape[-1]) for tensor in own):
        return "a parameter is neither one number nor one a neuron"
    if reason := transforming():
        return reason
    try:
        return Kernel(equation(cell), own, COMPILERS[x.device.type])
    except Untraceable as reason_not:
        return str(reason_not)
