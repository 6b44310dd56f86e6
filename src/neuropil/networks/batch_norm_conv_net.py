"""A small convolutional network with batch normalisation, which halves pictures by striding."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class BatchNormConvNet(nn.Module):
    """A block a width, ``relu(norm(conv(x)))`` with convolutions of stride 2 and no bias, then a linear read-out of all features.

    x [B, channels, size, size] -> y [B, classes]; every block halves the side, rounding up. ``kernels``: the odd side of each block's filters. Parts
    are named ``blocks.conv1``, ``blocks.norm1``, ``blocks.relu1``, ..., ``readout``. Source: ioffe2015.

    Initial law: weights normal with variance 2 / fan_in (he2015), 1 / fan_in in the read-out, biases 0, drawn from ``generator`` (None: torch's own). Raises
    ``ValueError`` for numbers below 1, even kernels, kernels and widths of unequal number, and inputs of another shape.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        classes: int = 10,
        widths: Sequence[int] = (16, 32),
        kernels: Sequence[int] = (5, 3),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        if not widths or min(channels, size, classes, *widths) < 1:
            raise ValueError(f"A BatchNormConvNet needs numbers from 1 up, {channels=}, {size=}, {classes=}, {list(widths)} were given.")
        if len(kernels) != len(widths) or any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
            raise ValueError(f"A BatchNormConvNet needs an odd kernel a width, {list(kernels)} was given for the widths {list(widths)}.")
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        side = size
        for k, (fan_in, fan_out, kernel) in enumerate(zip((channels, *widths), widths, kernels, strict=False), 1):
            conv = nn.Conv2d(fan_in, fan_out, kernel, stride=2, padding=kernel // 2, bias=False, device="meta").to_empty(device="cpu")
            nn.init.normal_(conv.weight, std=(2 / (kernel**2 * fan_in)) ** 0.5, generator=generator)
            parts |= {f"conv{k}": conv, f"norm{k}": nn.BatchNorm2d(fan_out), f"relu{k}": nn.ReLU()}
            side = -(-side // 2)
        self.blocks = nn.Sequential(parts)
        self.readout = nn.Linear(widths[-1] * side * side, classes, device="meta").to_empty(device="cpu")
        nn.init.normal_(self.readout.weight, std=(1 / self.readout.in_features) ** 0.5, generator=generator)
        nn.init.zeros_(self.readout.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures [B, channels, size, size] to [B, classes]."""
        if x.ndim != 4 or tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"This BatchNormConvNet takes pictures [B, {', '.join(map(str, self.shape))}], {list(x.shape)} was given; reshape them."
            )
        y: Tensor = self.readout(self.blocks(x).flatten(1))
        return y
