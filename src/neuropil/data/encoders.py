"""Encoders: numbers into spikes in time, by rate, by latency, by change.

Intensities ``x`` [..., N] lie in [0, 1]; spikes come time first, [T, ..., N], in the dtype of ``x``; ``dt`` is the width of a step in seconds.
Sources: adrian1926 (rate), thorpe2001 (latency), lichtsteiner2008 (change).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from neuropil.data.checks import positive, whole


def rate_encode(
    x: Tensor, *, steps: int, dt: float, max_rate: float, generator: torch.Generator, law: Literal["bernoulli", "poisson"] = "bernoulli"
) -> Tensor:
    """Rate code: independent spikes with mean ``p = x max_rate dt`` a step; x [..., N] -> [T, ..., N].

    ``bernoulli``: one spike with probability ``p``, which must not pass 1; ``poisson``: ``k`` spikes with probability ``p^k e^-p / k!``.
    ``max_rate`` in hertz is the rate of ``x = 1``. Source: adrian1926.

    Raises ``TypeError`` for integer ``x`` or a missing generator, ``ValueError`` for ``x`` outside [0, 1] or NaN, for time and rate that are not
    positive, for ``max_rate dt > 1`` under ``bernoulli``, for a generator on another device, and for an unknown law.
    """
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"rate_encode draws from a torch.Generator, {type(generator).__name__} was given; make one and seed it.")
    if isinstance(x, Tensor) and x.device.type != generator.device.type:
        raise ValueError(f"x is on {x.device}, the generator on {generator.device}; make torch.Generator({x.device.type!r}).")
    _intensities(x, "rate_encode")
    whole("steps", steps, 1)
    mean = positive("dt", dt, "seconds") * positive("max_rate", max_rate, "hertz")
    p = (x.detach() * mean).expand(steps, *x.shape)
    if law == "poisson":
        return torch.poisson(p, generator=generator)
    if law != "bernoulli":
        raise ValueError(f"law is 'bernoulli' or 'poisson', {law!r} was given.")
    if mean > 1:
        raise ValueError(
            f"One spike a step at most: max_rate {max_rate} Hz times dt {dt} s is {mean:g}, above 1; shorten dt or use law='poisson'."
        )
    return torch.bernoulli(p, generator=generator)


def latency(x: Tensor, *, tau: float, threshold: float) -> Tensor:
    """Time to first spike in seconds [..., N]: a capacitor charged by ``x`` from 0 reaches ``threshold``; infinite where it never does.

    ``tau dv/dt = x - v``, so ``t = -tau ln(1 - threshold / x)`` for ``x > threshold``. ``tau`` in seconds. Source: thorpe2001 (the code).

    Raises ``TypeError`` for integer ``x``, ``ValueError`` for ``x`` outside [0, 1] or NaN, ``tau <= 0`` or ``threshold`` outside (0, 1).
    """
    _intensities(x, "latency")
    positive("tau", tau, "seconds")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold lies between 0 and 1, the strongest intensity, {threshold} was given.")
    reaches = x > threshold
    charged = torch.where(reaches, threshold / torch.where(reaches, x, 1.0), 0.0)
    return torch.where(reaches, -tau * torch.log1p(-charged), math.inf)


def latency_encode(x: Tensor, *, steps: int, dt: float, tau: float, threshold: float = 0.01) -> Tensor:
    """Latency code: one spike at step ``floor(latency / dt)``, none where that is ``steps`` or later; x [..., N] -> [T, ..., N].

    The stronger the intensity, the earlier the spike. Arguments and errors as ``latency``; ``dt`` in seconds. Source: thorpe2001.
    """
    whole("steps", steps, 1)
    _floating(x, "latency_encode")
    fine = x.detach().to(torch.promote_types(x.dtype, torch.float32))  # in half precision steps past 256 (or 2048) run together
    bins = torch.floor(latency(fine, tau=tau, threshold=threshold) / positive("dt", dt, "seconds"))
    moments = torch.arange(steps, device=x.device, dtype=bins.dtype)
    return (moments.reshape(-1, *[1] * x.dim()) == bins).to(x.dtype)


def delta_encode(x: Tensor, *, threshold: float) -> Tensor:
    """Change code: signed events ``n[t] = trunc((x[t] - r[t-1]) / threshold)`` against a level ``r[t] = r[t-1] + threshold n[t]``, ``r[0] = x[0]``.

    x [T, ..., N] -> events [T, ..., N], whole numbers, the first all 0. ``x[0] + threshold cumsum(n)`` is within ``threshold`` of ``x``.
    Source: lichtsteiner2008. Differs from it in that a fast change gives several events in a step instead of several events in time, and that
    levels are linear, not logarithmic (pass ``log(x)`` for those).

    Raises ``TypeError`` for integer ``x``, ``ValueError`` for ``x`` without a time axis or with NaN, and for a threshold that is not positive.
    """
    _floating(x, "delta_encode")
    positive("threshold", threshold, "units of x")
    if x.dim() == 0 or len(x) == 0:
        raise ValueError(f"delta_encode takes x [T, ..., N], time first, {tuple(x.shape)} was given.")
    levels = (x.detach() - x[0].detach()) / threshold
    events = torch.zeros_like(levels)
    level = torch.zeros_like(levels[0])
    for t in range(1, len(levels)):
        events[t] = torch.trunc(levels[t] - level)
        level = level + events[t]
    return events


def delta_decode(events: Tensor, first: Tensor, *, threshold: float) -> Tensor:
    """Rebuild the signal of ``delta_encode`` from its events [T, ..., N] and first values [..., N]: ``first + threshold cumsum(events)``.

    Raises ``ValueError`` where the shapes do not fit or the threshold is not positive.
    """
    positive("threshold", threshold, "units of x")
    if events.shape[1:] != first.shape:
        raise ValueError(
            f"events [T, ..., N] and first [..., N] need equal axes after time, {tuple(events.shape)}, {tuple(first.shape)} given."
        )
    return first + threshold * events.cumsum(0)


def _floating(x: Tensor, who: str) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        given = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{who} takes a floating-point tensor, {given} was given; convert and scale it first, for example x.float() / 255.")
    if not torch.isfinite(x).all():
        raise ValueError(f"{who} takes finite numbers, x holds NaN or infinity; mend or drop those examples.")


def _intensities(x: Tensor, who: str) -> None:
    _floating(x, who)
    if x.numel() and not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"{who} takes intensities between 0 and 1, {x.min().item():g} to {x.max().item():g} was given; scale them first.")
