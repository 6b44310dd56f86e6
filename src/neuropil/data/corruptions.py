"""Common corruptions of pictures, in five severities: noise, blur, fog, contrast, brightness, coarse pixels.

Strengths are those of hendrycks2019 for photographs of 224 x 224; sizes in pixels are taken in proportion to the side. Differs from the authors' code in
that pictures stay floating point and grey, that brightness is added to grey values, that the disc of a defocus is exact instead of smoothed, and that fog is
filtered noise of the spectrum that their displaced midpoints have. Uniform noise is that of geirhos2018, with five of their widths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 224


def _gaussian_noise(x: Tensor, sd: float, draws: torch.Generator) -> Tensor:
    return x + sd * torch.randn(x.shape, generator=draws, dtype=x.dtype)


def _speckle_noise(x: Tensor, sd: float, draws: torch.Generator) -> Tensor:
    return x + sd * x * torch.randn(x.shape, generator=draws, dtype=x.dtype)


def _uniform_noise(x: Tensor, width: float, draws: torch.Generator) -> Tensor:
    return x + width * (2 * torch.rand(x.shape, generator=draws, dtype=x.dtype) - 1)


def _fog(x: Tensor, strength: tuple[float, float], draws: torch.Generator) -> Tensor:
    thickness, decay = strength
    top = x.amax((-2, -1), keepdim=True)
    return (x + thickness * haze(x.shape, decay, draws).to(x.dtype)) * top / (top + thickness)


def _impulse_noise(x: Tensor, share: float, draws: torch.Generator) -> Tensor:
    chance = torch.rand(x.shape, generator=draws, dtype=x.dtype)
    return torch.where(chance < share / 2, 0.0, torch.where(chance < share, 1.0, x))


def _gaussian_blur(x: Tensor, sd: float, draws: torch.Generator) -> Tensor:
    sd = sd * x.shape[-1] / SIDE
    reach = max(1, int(4 * sd + 0.5))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=x.dtype) / sd) ** 2)
    kernel = kernel / kernel.sum()
    return _filtered(x, kernel[:, None] * kernel)


def _defocus_blur(x: Tensor, radius: float, draws: torch.Generator) -> Tensor:
    return _filtered(x, disc(radius * x.shape[-1] / SIDE).to(x.dtype))


def _contrast(x: Tensor, kept: float, draws: torch.Generator) -> Tensor:
    mean = x.mean((-2, -1), keepdim=True)
    return mean + kept * (x - mean)


def _brightness(x: Tensor, added: float, draws: torch.Generator) -> Tensor:
    return x + added


def _pixelate(x: Tensor, share: float, draws: torch.Generator) -> Tensor:
    coarse = F.interpolate(x[:, None], size=(max(1, int(x.shape[-2] * share)), max(1, int(x.shape[-1] * share))), mode="area")
    return F.interpolate(coarse, size=x.shape[-2:], mode="nearest")[:, 0]


_STRENGTHS: dict[str, tuple[Callable[[Tensor, Any, torch.Generator], Tensor], tuple[Any, ...]]] = {
    "gaussian_noise": (_gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
    "speckle_noise": (_speckle_noise, (0.15, 0.2, 0.35, 0.45, 0.6)),
    "uniform_noise": (_uniform_noise, (0.1, 0.2, 0.35, 0.6, 0.9)),
    "impulse_noise": (_impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27)),
    "gaussian_blur": (_gaussian_blur, (1.0, 2.0, 3.0, 4.0, 6.0)),
    "defocus_blur": (_defocus_blur, (3.0, 4.0, 6.0, 8.0, 10.0)),
    "fog": (_fog, ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))),
    "contrast": (_contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "pixelate": (_pixelate, (0.6, 0.5, 0.4, 0.3, 0.25)),
}
STRENGTHS = MappingProxyType({kind: strengths for kind, (_, strengths) in _STRENGTHS.items()})
"""Every kind with what its severities 1 to 5 are: standard deviation, half width, share of pixels, pixels at a side of 224, thickness and decay, factor, what is added, share of the side."""


def corrupt(x: Tensor, kind: str, *, severity: int, generator: torch.Generator) -> Tensor:
    """Corrupt grey pictures ``x`` [N, H, W] of values 0 to 1, each with its own noise; the result again lies in 0 to 1.

    ``kind``: one of ``STRENGTHS``; ``severity`` 1 to 5; ``generator`` is drawn from by the kinds with noise. Source: hendrycks2019, geirhos2018. Raises ``ValueError``
    for an unknown kind or severity and for pictures of another shape or range.
    """
    if kind not in _STRENGTHS:
        raise ValueError(f"There is no corruption {kind!r}; accepted are {', '.join(_STRENGTHS)}.")
    if severity not in range(1, 6):
        raise ValueError(f"The severity is a whole number from 1 to 5, {severity!r} was given.")
    if x.ndim != 3 or not x.is_floating_point() or not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            f"corrupt takes floating pictures [N, H, W] from 0 to 1, {list(x.shape)} of {x.dtype} from {x.min():g} to {x.max():g} were given; scale or reshape them."
        )
    change, strengths = _STRENGTHS[kind]
    return change(x, strengths[severity - 1], generator).clamp(0, 1)


def haze(shape: Sequence[int], decay: float, generator: torch.Generator) -> Tensor:
    """Fractal clouds f64 [N, H, W] from 0 to 1, each from its lowest to its highest: noise whose amplitude at frequency f is ``f^-(1 + log2 decay)``.

    ``decay``: the factor by which detail shrinks from one size to half of it, above 1 for clouds smoother than white noise at every scale.
    """
    noise = torch.randn(tuple(shape), generator=generator, dtype=torch.float64)
    rows, columns = torch.fft.fftfreq(shape[-2], dtype=torch.float64), torch.fft.rfftfreq(shape[-1], dtype=torch.float64)
    frequency = (rows[:, None] ** 2 + columns**2).sqrt()
    frequency[0, 0] = torch.inf
    clouds = torch.fft.irfft2(torch.fft.rfft2(noise) * frequency ** -(1 + math.log2(decay)), s=tuple(shape[-2:]))
    low, high = clouds.amin((-2, -1), keepdim=True), clouds.amax((-2, -1), keepdim=True)
    scaled: Tensor = (clouds - low) / (high - low)
    return scaled


def disc(radius: float) -> Tensor:
    """The share of each pixel that a disc of this radius in pixels covers, summing to 1: f64 [2 R + 1, 2 R + 1], the centre in the middle."""
    reach = int(radius + 0.5) + 1
    fine = 33
    at = (torch.arange((2 * reach + 1) * fine, dtype=torch.float64) + 0.5) / fine - reach - 0.5
    inside = (at[:, None] ** 2 + at**2 <= radius**2).double()
    covered = inside.reshape(2 * reach + 1, fine, 2 * reach + 1, fine).mean((1, 3))
    return covered / covered.sum()


def _filtered(x: Tensor, kernel: Tensor) -> Tensor:
    """Pictures under a symmetric kernel, their edges continued outwards."""
    reach = len(kernel) // 2
    return F.conv2d(F.pad(x[:, None], (reach,) * 4, mode="replicate"), kernel[None, None])[:, 0]
