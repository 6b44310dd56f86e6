"""What the stateless synapses share: a weight matrix between two populations, checked input."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def check_size(value: int, name: str, what: str) -> int:
    """Give ``value`` back; raises ``ValueError`` unless it is a whole number, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"The {name} of a {what} is a whole number, 1 or more, {value!r} was given; give the number of neurons.")
    return value


def check_input(x: Tensor, size: int, axis: int, form: str, weight: Tensor, what: str) -> None:
    """Raise ``TypeError`` or ``ValueError`` in one sentence where ``x`` is no floating tensor with ``size`` features at ``axis``."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{what} was given a {type(x).__name__}; accepted is a tensor {form}.")
    if not x.is_floating_point():
        raise TypeError(f"{what} was given an input of dtype {x.dtype}; accepted are floating dtypes, convert it with x.float().")
    if x.ndim < -axis:
        raise ValueError(f"{what} was given an input of shape {list(x.shape)}; accepted is {form}.")
    if x.shape[axis] != size:
        raise ValueError(f"{what} takes {size} features and was given an input of shape {list(x.shape)}; axis {axis} is {size}.")
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(weight.device.type):
        raise TypeError(f"{what} has weights of {weight.dtype} and was given an input of {x.dtype}; convert one with .to(dtype).")
    if x.device != weight.device:
        raise ValueError(f"{what} lies on {weight.device} and was given an input on {x.device}; move one with .to(device).")


class Synapse(nn.Module):
    """Base of the stateless synapses: ``y = synapse(x)`` with ``y = weight() x``, ``x`` [..., N] -> ``y`` [..., M], any leading axes.

    A plain module: it stands between two cells in a ``Chain`` or on the edge of a ``Circuit``, and has no time of its own. A subclass
    defines ``effective()``, the matrix [M, N] that acts. Raises ``ValueError`` for sizes below 1 and inputs of another feature size or
    device, ``TypeError`` for inputs of another dtype than the weights.
    """

    weight: Tensor

    def __init__(self, size: int, out_size: int) -> None:
        super().__init__()
        self.size = check_size(size, "size", type(self).__name__)
        self.out_size = check_size(out_size, "out_size", type(self).__name__)

    def effective(self) -> Tensor:
        """The weights that act, [M, N]: from presynaptic neuron N to postsynaptic neuron M."""
        raise NotImplementedError(f"{type(self).__name__} does not state effective(), its weights [M, N]; define it.")

    def forward(self, x: Tensor) -> Tensor:
        """Postsynaptic current of presynaptic activity ``x``."""
        check_input(x, self.size, -1, "[..., N]", self.weight, type(self).__name__)
        return self.transmit(x, self.effective())

    def transmit(self, x: Tensor, weight: Tensor) -> Tensor:
        """The product ``W x`` of ``x`` [..., N] and ``weight`` [M, N]."""
        return x @ weight.mT

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"size={self.size}, out_size={self.out_size}"


def matrix_of(module: nn.Module) -> Tensor | None:
    """The matrix [M, N] that a synapse or a linear layer without bias is; None for modules that are more than that."""
    if isinstance(module, Synapse) and type(module).forward == Synapse.forward:
        return module.effective()
    return module.weight if type(module) is nn.Linear and module.bias is None else None


def normal(*shape: int, spread: float, generator: torch.Generator | None) -> nn.Parameter:
    """A parameter of independent normal numbers with mean 0 and standard deviation ``spread``."""
    return nn.Parameter(torch.randn(*shape, generator=generator) * spread)
