"""Connections shared over space: the same small patch of weights everywhere."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.synapse import check_input, check_size, normal


@SYNAPSES.register(cites=("lecun1998",), tags=("stateless",), example={"channels": 4, "out_channels": 3, "kernel": 3}, features=(4, 5, 5))
class Conv(nn.Module):
    """Convolution over one or two axes of space, with any leading axes.

    Equation: ``y_m(p) = sum over channels n and offsets q of W_mn(q) x_n(stride p + q - padding)``, ``W ~ Normal(0, gain^2 / (C kernel^dims))``.

    ``x`` [..., C, (H,) W] -> ``y`` [..., M, (H',) W']; ``weight`` [M, C, (kernel,) kernel]; ``dims`` 1 or 2; ``padding`` keeps the size for an odd
    kernel unless given. Raises ``ValueError`` for another number of channels or dims, sizes below 1, a negative padding or an input smaller
    than the kernel, ``TypeError`` for inputs of another dtype than the weights. Source: lecun1998.
    Differs from ``nn.Conv2d`` in the leading axes, its start and in having no bias.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        dims: int = 2,
        stride: int = 1,
        padding: int | None = None,
        gain: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("out_channels", out_channels), ("kernel", kernel), ("stride", stride)):
            check_size(value, name, "Conv")
        if dims not in (1, 2):
            raise ValueError(f"dims of a Conv is 1 or 2, {dims!r} was given; it counts the axes of space, time is a leading axis.")
        self.channels, self.out_channels, self.dims, self.stride = channels, out_channels, dims, stride
        self.padding = kernel // 2 if padding is None else padding
        if self.padding < 0:
            raise ValueError(f"padding of a Conv is 0 or more, {padding!r} was given; leave it out to keep the size.")
        self.weight = normal(out_channels, channels, *[kernel] * dims, spread=gain / (channels * kernel**dims) ** 0.5, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Postsynaptic current of presynaptic activity ``x``."""
        form = "[..., C, H, W]" if self.dims == 2 else "[..., C, W]"
        check_input(x, self.channels, -1 - self.dims, form, self.weight, "Conv")
        kernel, space = self.weight.shape[-1], x.shape[-self.dims :]
        if min(space) + 2 * self.padding < kernel:
            raise ValueError(f"Conv has a kernel of {kernel} and was given space {list(space)}; give larger inputs or more padding.")
        lead = x.shape[: -1 - self.dims]
        convolve = F.conv2d if self.dims == 2 else F.conv1d
        y = convolve(x.reshape(-1, *x.shape[-1 - self.dims :]), self.weight, stride=self.stride, padding=self.padding)
        return y.reshape(*lead, *y.shape[1:])

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"channels={self.channels}, out_channels={self.out_channels}, kernel={self.weight.shape[-1]}, dims={self.dims}"
