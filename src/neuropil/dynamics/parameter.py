"""Numbers of a cell as tensors torch can see: shared by all neurons or one a neuron, learnable or fixed, and decays from time constants."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

Value = float | Sequence[float] | Tensor


def parameter(
    value: Value, *, size: int | None = None, learnable: bool = False, per_neuron: bool = False, positive: bool = False, name: str = "value"
) -> Tensor:
    """Make ``value`` an ``nn.Parameter`` (``learnable``) or an ``nn.Buffer``; assigning it to a module's attribute registers it.

    A number becomes one shared scalar, or ``[size]`` equal ones with ``per_neuron``; a sequence or tensor is one value a neuron, ``[size]``.
    Raises ``ValueError`` for another shape, a value that is not finite or, with ``positive``, one that is not above 0.
    """
    dtype = value.dtype if isinstance(value, Tensor) and value.is_floating_point() else torch.get_default_dtype()
    tensor = torch.as_tensor(value, dtype=dtype).detach().clone()
    if tensor.ndim > 1 or (tensor.ndim == 1 and len(tensor) != size):
        accepted = "one number (give the cell its size to set each neuron)" if size is None else f"one number or {size}, one a neuron"
        raise ValueError(f"{name} of shape {list(tensor.shape)} was given; accepted is {accepted}.")
    if not tensor.isfinite().all():
        raise ValueError(f"{name} is finite, {value!r} was given; look for NaN or infinity where it is made.")
    if positive and not (tensor > 0).all():
        raise ValueError(f"{name} is above 0, {value!r} was given; give a positive number.")
    if per_neuron and tensor.ndim == 0:
        if size is None:
            raise ValueError(f"{name} was asked for per neuron but the cell has no size; give the cell its size.")
        tensor = tensor.repeat(size)
    return nn.Parameter(tensor) if learnable else nn.Buffer(tensor)


def check_dt(dt: float | None, name: str = "a cell with time constants") -> float:
    """Give ``dt`` back as a float; raises ``ValueError`` where it is missing, negative, zero or not finite."""
    if dt is None:
        raise ValueError(f"dt is missing: {name} needs the length of one step in seconds; give for example dt=1e-3.")
    if not 0 < dt < math.inf:
        raise ValueError(f"dt is the length of one step in seconds, above 0, {dt!r} was given; give for example dt=1e-3.")
    return float(dt)


class Decay(nn.Module):
    """What is left after one step of an exponential relaxation: ``decay() = exp(-dt / tau)``, between 0 and 1, of shape [] or [size].

    ``tau``: time constant in seconds, shared or one a neuron; ``dt``: one step in seconds, at most ``tau``. Kept as ``log_tau`` (of
    seconds), so that a learnable one stays positive and steps in proportion. Keep it in float32: a decay nearer to 1 than 0.002 is 1 in bfloat16, and nothing decays (inputs may be
    bfloat16, the state is then float32). Raises ``ValueError`` for ``tau`` zero or negative, ``dt``
    missing, not positive or above ``tau``, and shapes that fit no neuron.
    """

    log_tau: Tensor

    def __init__(
        self,
        tau: Value,
        *,
        dt: float | None,
        size: int | None = None,
        learnable: bool = False,
        per_neuron: bool = False,
        name: str = "tau",
    ) -> None:
        super().__init__()
        self.dt = check_dt(dt, f"the time constant {name}")
        seconds = parameter(tau, size=size, per_neuron=per_neuron, positive=True, name=name)
        shortest = float(seconds.min())
        if self.dt > shortest * (1 + 1e-6):
            raise ValueError(f"dt is at most {name}, {self.dt:g} s was given for {name} = {shortest:g} s; take shorter steps.")
        self.log_tau = parameter(seconds.log(), size=size, learnable=learnable, name=f"log {name}")

    @property
    def tau(self) -> Tensor:
        """The time constant in seconds."""
        return self.log_tau.exp()

    def forward(self) -> Tensor:
        """``exp(-dt / tau)``."""
        return torch.exp(-self.dt * torch.exp(-self.log_tau))

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"mean tau={float(self.tau.detach().mean()):.4g} s, dt={self.dt:g} s"
