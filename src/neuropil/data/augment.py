"""Random views of pictures for contrastive learning: crops and colours changed, the content kept. Source: chen2020simclr."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

_GREY = (0.299, 0.587, 0.114)


def random_resized_crop(
    x: Tensor,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    generator: torch.Generator | None = None,
) -> Tensor:
    """Cut a random part out of each picture and stretch it to the whole: x [B, C, H, W] -> [B, C, H, W], bilinear.

    The part has a share of the area evenly in ``scale`` and a ratio of its sides log-evenly in ``ratio`` (clipped to the picture), and lies anywhere inside. Source: chen2020simclr.
    """
    draw = torch.rand(4, len(x), generator=generator, dtype=x.dtype, device=x.device)
    area = scale[0] + (scale[1] - scale[0]) * draw[0]
    low, high = (math.log(side) for side in ratio)
    aspect = torch.exp(low + (high - low) * draw[1])
    height, width = (area / aspect).sqrt().clamp(max=1), (area * aspect).sqrt().clamp(max=1)
    down, right = (1 - height) * (2 * draw[2] - 1), (1 - width) * (2 * draw[3] - 1)
    zero = torch.zeros_like(area)
    cut = torch.stack((torch.stack((width, zero, right), 1), torch.stack((zero, height, down), 1)), 1)
    return grid_sample(x, affine_grid(cut, list(x.shape), align_corners=False), padding_mode="border", align_corners=False)


def colour_distortion(x: Tensor, *, strength: float = 0.5, generator: torch.Generator | None = None) -> Tensor:
    """Change brightness, contrast, saturation and hue of four in five pictures, and make one in five grey: x [B, 3, H, W] from 0 to 1 -> the same.

    Equation, with factors evenly within ``1 +- 0.8 strength`` (from 0 up): ``x <- b x``; ``x <- m + k (x - m)``, ``m`` the mean grey; ``x <- g + s (x - g)``, ``g`` the grey of each pixel; colours turned around
    the grey axis by an angle evenly within ``+- 0.2 strength`` of a full turn; cut to 0 to 1 each time. Source: chen2020simclr.
    Differs from it in that the four changes always come in this order and that hue is turned in RGB space.
    """
    draw = torch.rand(6, len(x), 1, 1, 1, generator=generator, dtype=x.dtype, device=x.device)
    weights = x.new_tensor(_GREY).view(3, 1, 1)
    brightness, contrast, saturation = (1 + 0.8 * strength * (2 * draw[:3] - 1)).clamp(min=0)
    y = (brightness * x).clamp(0, 1)
    mean = (weights * y).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    y = (mean + contrast * (y - mean)).clamp(0, 1)
    grey = (weights * y).sum(1, keepdim=True)
    y = (grey + saturation * (y - grey)).clamp(0, 1)
    angle = 2 * math.pi * 0.2 * strength * (2 * draw[3] - 1)
    side = (y.roll(1, 1) - y.roll(-1, 1)) / 3**0.5
    mean = y.mean(1, keepdim=True)
    y = (mean + angle.cos() * (y - mean) + angle.sin() * side).clamp(0, 1)
    y = torch.where(draw[4] < 0.8, y, x)
    return torch.where(draw[5] < 0.2, (weights * y).sum(1, keepdim=True).expand_as(y), y)
