"""What synapses with fast weights share: where the weights start, and checks of the second and third factor."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def starting_weight(
    weight: Tensor | None, out_size: int, size: int, bounds: tuple[float, float] | None, generator: torch.Generator | None
) -> Tensor:
    """Weights [out_size, size] to start from: those given, else uniform within ``bounds``, else ``Normal(0, 1 / size)``."""
    if isinstance(out_size, bool) or not isinstance(out_size, int) or out_size < 1:
        raise ValueError(f"out_size is a number of neurons, 1 or more, {out_size!r} was given.")
    if bounds is not None and not bounds[0] < bounds[1]:
        raise ValueError(f"bounds are (lowest, highest) weight, {bounds!r} was given; put the lower one first.")
    if weight is None:
        if bounds is None:
            drawn = torch.randn(out_size, size, generator=generator)
            return drawn / math.sqrt(size)
        return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(out_size, size, generator=generator)
    if weight.shape != (out_size, size):
        raise ValueError(f"weight is [{out_size}, {size}], {list(weight.shape)} was given; rows are postsynaptic neurons.")
    if bounds is not None and not ((weight >= bounds[0]) & (weight <= bounds[1])).all():
        raise ValueError(
            f"weight lies in the bounds {bounds}, {float(weight.min()):g} to {float(weight.max()):g} was given; widen the bounds."
        )
    return weight.detach().clone()


def along_leading(weight: Tensor, leading: tuple[int, ...]) -> Tensor:
    """``weight`` [M, N] copied along leading axes, [*leading, M, N]; gradients flow back to it."""
    return weight.expand(*leading, *weight.shape).clone()


def check_third(given: Tensor, y: Tensor, name: str, sizes: tuple[int, ...], what: str) -> Tensor:
    """Give ``given`` back where it fits the output ``y`` [..., M] with a last axis among ``sizes``; else raise in one sentence."""
    if not isinstance(given, Tensor) or not given.is_floating_point():
        kind = given.dtype if isinstance(given, Tensor) else type(given).__name__
        raise TypeError(f"{name} of {what} is a floating tensor, {kind} was given; convert it with .float().")
    if (
        given.ndim != y.ndim
        or given.shape[-1] not in sizes
        or any(g not in (1, n) for g, n in zip(given.shape[:-1], y.shape[:-1], strict=True))
    ):
        accepted = " or ".join(str([*y.shape[:-1], size]) for size in dict.fromkeys(sizes))
        raise ValueError(f"{name} of {what} has shape {list(given.shape)}; accepted here is {accepted}.")
    return given


def current(w: Tensor, x: Tensor, what: str) -> Tensor:
    """``w x`` [..., M] of weights ``w`` [..., M, N] and activity ``x`` [..., N] of the same dtype (or under autocast), else ``TypeError``."""
    if w.dtype != x.dtype and not torch.is_autocast_enabled(w.device.type):
        raise TypeError(f"{what} has weights of {w.dtype} and was given an input of {x.dtype}; convert one with .to(dtype).")
    return (w @ x.unsqueeze(-1)).squeeze(-1)
