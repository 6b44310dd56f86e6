"""Surrogate gradients: a spike is a step forwards and a smooth slope backwards, so that spiking cells learn by gradient descent.

Equation, for the distance ``u = v - threshold``: forwards ``spike = 1 if u >= 0 else 0``; backwards ``d spike / d u = derivative(u)``.
Exactly at threshold is a spike. NaN gives NaN, never a spike. With ``smooth=True`` the forward pass is ``antiderivative(u)`` instead,
whose true gradient the backward pass then is, so that ``torch.autograd.gradcheck`` can check a whole cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def heaviside(u: Tensor) -> Tensor:
    """1 where ``u >= 0``, 0 where ``u < 0``, NaN where ``u`` is NaN."""
    return torch.where(u >= 0, torch.ones_like(u), torch.where(u < 0, torch.zeros_like(u), u))


class _Spike(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, surrogate: Surrogate) -> Tensor:
        return surrogate.antiderivative(u) if surrogate.smooth else heaviside(u)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Surrogate], output: Tensor) -> None:
        u, ctx.surrogate = inputs
        ctx.save_for_backward(u)
        ctx.save_for_forward(u)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return gradients[0] * ctx.surrogate.derivative(u), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        (u,) = ctx.saved_tensors
        return tangents[0] * ctx.surrogate.derivative(u)  # type: ignore[no-any-return]


class Surrogate(nn.Module):
    """Base of the surrogate gradients: ``spike = surrogate(v - threshold)``, any shape, pointwise.

    ``slope``: steepness, in 1 / units of ``u``; ``scale`` multiplies the derivative (Bellec's dampening factor); ``smooth``: forward by
    the antiderivative. A new one states ``derivative`` and ``antiderivative``. Raises ``ValueError`` for a slope or scale not above 0.
    """

    def __init__(self, slope: float, scale: float = 1.0, *, smooth: bool = False) -> None:
        super().__init__()
        for name, value in (("slope", slope), ("scale", scale)):
            if not 0 < value < math.inf:
                raise ValueError(f"The {name} of a surrogate gradient is above 0 and finite, {value} was given; try 1.0.")
        self.slope, self.scale, self.smooth = float(slope), float(scale), smooth

    @staticmethod
    def of(surrogate: Surrogate | None, default: Surrogate) -> Surrogate:
        """``surrogate`` itself, or ``default`` for ``None``; raises ``TypeError`` for anything else."""
        if surrogate is None:
            return default
        if not isinstance(surrogate, Surrogate):
            raise TypeError(f"A surrogate is a Surrogate, {surrogate!r} was given; give for example {type(default).__name__}().")
        return surrogate

    def derivative(self, u: Tensor) -> Tensor:
        """``d spike / d u`` as the backward pass uses it."""
        raise NotImplementedError(f"{type(self).__name__} does not state its derivative(u); define it.")

    def antiderivative(self, u: Tensor) -> Tensor:
        """A function whose derivative is ``derivative``: the forward pass when ``smooth``."""
        raise NotImplementedError(f"{type(self).__name__} does not state its antiderivative(u); define it.")

    def forward(self, u: Tensor) -> Tensor:
        """Spikes (0 or 1, NaN for NaN) of the distance ``u`` to threshold."""
        return _Spike.apply(u, self)  # type: ignore[no-any-return, no-untyped-call]

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"slope={self.slope:g}, scale={self.scale:g}" + (", smooth=True" if self.smooth else "")


class FastSigmoid(Surrogate):
    """SuperSpike: ``derivative = scale / (1 + slope |u|)^2``, ``antiderivative = scale u / (1 + slope |u|)``. Source: zenke2018."""

    def __init__(self, slope: float = 10.0, scale: float = 1.0, *, smooth: bool = False) -> None:
        super().__init__(slope, scale, smooth=smooth)

    def derivative(self, u: Tensor) -> Tensor:
        """``scale / (1 + slope |u|)^2``."""
        return self.scale / (1 + self.slope * u.abs()).square()

    def antiderivative(self, u: Tensor) -> Tensor:
        """``scale u / (1 + slope |u|)``."""
        return self.scale * u / (1 + self.slope * u.abs())


class Arctan(Surrogate):
    """``derivative = scale (slope / 2) / (1 + (pi slope u / 2)^2)``, ``antiderivative = scale (arctan(pi slope u / 2) / pi + 1/2)``. Source: fang2021."""

    def __init__(self, slope: float = 2.0, scale: float = 1.0, *, smooth: bool = False) -> None:
        super().__init__(slope, scale, smooth=smooth)

    def derivative(self, u: Tensor) -> Tensor:
        """``scale (slope / 2) / (1 + (pi slope u / 2)^2)``."""
        return self.scale * (self.slope / 2) / (1 + (math.pi / 2 * self.slope * u).square())

    def antiderivative(self, u: Tensor) -> Tensor:
        """``scale (arctan(pi slope u / 2) / pi + 1/2)``."""
        return self.scale * (torch.atan(math.pi / 2 * self.slope * u) / math.pi + 0.5)


class Triangular(Surrogate):
    """``derivative = scale max(0, 1 - slope |u|)``, ``antiderivative = scale u' (1 - slope |u'| / 2)`` with ``u'`` = ``u`` held to ±1/slope.

    Source: bellec2018, whose dampening factor is ``scale`` (0.3 there).
    """

    def __init__(self, slope: float = 1.0, scale: float = 1.0, *, smooth: bool = False) -> None:
        super().__init__(slope, scale, smooth=smooth)

    def derivative(self, u: Tensor) -> Tensor:
        """``scale max(0, 1 - slope |u|)``."""
        return self.scale * (1 - self.slope * u.abs()).clamp(min=0)

    def antiderivative(self, u: Tensor) -> Tensor:
        """``scale u' (1 - slope |u'| / 2)``, ``u'`` = ``u`` held to ±1/slope."""
        held = u.clamp(-1 / self.slope, 1 / self.slope)
        return self.scale * held * (1 - self.slope * held.abs() / 2)


class Sigmoid(Surrogate):
    """``derivative = scale slope p (1 - p)``, ``antiderivative = scale p`` with ``p = sigmoid(slope u)``. Source: neftci2019."""

    def __init__(self, slope: float = 4.0, scale: float = 1.0, *, smooth: bool = False) -> None:
        super().__init__(slope, scale, smooth=smooth)

    def derivative(self, u: Tensor) -> Tensor:
        """``scale slope p (1 - p)``."""
        p = torch.sigmoid(self.slope * u)
        return self.scale * self.slope * p * (1 - p)

    def antiderivative(self, u: Tensor) -> Tensor:
        """``scale sigmoid(slope u)``."""
        return self.scale * torch.sigmoid(self.slope * u)


@contextmanager
def smoothed(model: nn.Module) -> Iterator[nn.Module]:
    """Inside the context every surrogate of ``model`` runs its antiderivative forwards: ``with smoothed(net): gradcheck(net, x)``."""
    surrogates = [(module, module.smooth) for module in model.modules() if isinstance(module, Surrogate)]
    try:
        for surrogate, _ in surrogates:
            surrogate.smooth = True
        yield model
    finally:
        for surrogate, before in surrogates:
            surrogate.smooth = before
