"""A small convolutional network: the plain baseline for pictures of 28 x 28 or 32 x 32."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ConvNet(nn.Module):
    """A block a width (3 x 3 convolution, ReLU, 2 x 2 max pooling), then a hidden layer and a linear read-out.

    x [B, channels, size, size] -> y [B, classes]; every block halves the side, rounding down. Parts are named ``blocks.conv1``,
    ``blocks.relu1``, ``blocks.pool1``, ..., ``hidden``, ``readout``. The layout is that of lecun1998 with ReLU and max pooling.

    Initial law: weights normal with variance 2 / fan_in (he2015), 1 / fan_in in the read-out, biases 0, drawn from ``generator`` (None:
    torch's own). Raises ``ValueError`` where the picture is too small for the blocks, and for inputs of another shape.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        classes: int = 10,
        widths: Sequence[int] = (32, 64),
        hidden: int = 128,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        side = size >> len(widths)
        if min(channels, classes, hidden, *widths) < 1 or not widths:
            raise ValueError(f"A ConvNet needs numbers from 1 up, {channels=}, {classes=}, {hidden=}, {list(widths)} were given.")
        if side < 1:
            raise ValueError(f"Pictures of {size} x {size} cannot be halved {len(widths)} times; give fewer widths or larger pictures.")
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for k, (fan_in, fan_out) in enumerate(zip((channels, *widths), widths, strict=False), 1):
            conv = nn.Conv2d(fan_in, fan_out, 3, padding=1, device="meta").to_empty(device="cpu")
            _normal(conv, 2 / (9 * fan_in), generator)
            parts |= {f"conv{k}": conv, f"relu{k}": nn.ReLU(), f"pool{k}": nn.MaxPool2d(2)}
        self.blocks = nn.Sequential(parts)
        flat = widths[-1] * side * side
        self.hidden = nn.Linear(flat, hidden, device="meta").to_empty(device="cpu")
        _normal(self.hidden, 2 / flat, generator)
        self.readout = nn.Linear(hidden, classes, device="meta").to_empty(device="cpu")
        _normal(self.readout, 1 / hidden, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures [B, channels, size, size] to [B, classes]."""
        if x.ndim != 4 or tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"This ConvNet takes pictures [B, {', '.join(map(str, self.shape))}], {list(x.shape)} was given; reshape them."
            )
        y: Tensor = self.readout(torch.relu(self.hidden(self.blocks(x).flatten(1))))
        return y


def _normal(layer: nn.Conv2d | nn.Linear, variance: float, generator: torch.Generator | None) -> None:
    nn.init.normal_(layer.weight, std=variance**0.5, generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
