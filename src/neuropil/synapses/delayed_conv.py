"""Heterogeneous delays shared over space: a weight for every delay and every place of a small window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from neuropil.dynamics import Cell
from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.synapse import check_input, check_size, normal


def _at_once(off: DelayedConv) -> Callable[[Tensor], Tensor]:
    """What is left without delays: a convolution over space of every moment."""
    weight = off.weight.squeeze(2)

    def convolve(x: Tensor) -> Tensor:
        y = F.conv2d(x.reshape(-1, *x.shape[-3:]), weight, padding=off.padding)
        return y.reshape(*x.shape[:-3], *y.shape[1:])

    return convolve


@SYNAPSES.register(
    cites=("grimaldi2023",),
    tags=("delays", "events"),
    example={"channels": 2, "out_channels": 3, "kernel": 3, "max_delay": 4},
    features=(2, 5, 4),
    off={"max_delay": 0},
    like=_at_once,
)
class DelayedConv(Cell):
    """Heterogeneous delays: each pair of neurons has a synapse at every delay, and all places share the kernel (HD-SNN).

    Equation: ``y_m(t, p) = sum over channels n, delays d = 0 .. max_delay and offsets q of W_mn(d, q) x_n(t - d, p + q - padding)``,
    ``W ~ Normal(0, gain^2 / (C (max_delay + 1) kernel^dims))``. Delays are learned as weights: a large ``W(d, q)`` is a synapse of delay ``d``, and
    a kernel whose large weights lie on a line of space and delay adds up, in one moment, the events of something that moves along it.

    ``x`` [T, ..., C, (H,) W] -> ``y`` [T, ..., M, (H',) W'], silence before the first moment; ``weight`` [M, C, max_delay + 1, (kernel,) kernel];
    ``dims`` 1 or 2 axes of space; ``padding`` keeps the size for an odd kernel unless given; ``max_delay`` in steps.
    Raises ``ValueError`` for another number of channels or dims, sizes below 1, a negative padding or delay,
    and an input smaller than the kernel; ``TypeError`` for inputs of another dtype than the weights. Source: grimaldi2023.
    Differs from the authors' code in that it carries its last inputs as State, so that a sequence may be cut anywhere (there the first moments
    after a shift in time hold the end of the sequence), in having no bias, and in no mask over the kernel.
    """

    emits = "current"

    class State(NamedTuple):
        """``buffer``: what came in, [max_delay, ..., C, (H,) W], newest last."""

        buffer: Tensor

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        max_delay: int,
        dims: int = 2,
        padding: int | None = None,
        gain: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("out_channels", out_channels), ("kernel", kernel)):
            check_size(value, name, "DelayedConv")
        if dims not in (1, 2):
            raise ValueError(f"dims of a DelayedConv is 1 or 2, {dims!r} was given; it counts the axes of space, time is a leading axis.")
        if isinstance(max_delay, bool) or not isinstance(max_delay, int) or max_delay < 0:
            raise ValueError(f"max_delay is a whole number of steps, 0 or more, {max_delay!r} was given; it is time / dt.")
        self.channels, self.out_channels, self.max_delay, self.dims = channels, out_channels, max_delay, dims
        self.padding = kernel // 2 if padding is None else padding
        if self.padding < 0:
            raise ValueError(f"padding of a DelayedConv is 0 or more, {padding!r} was given; leave it out to keep the size.")
        shape = (out_channels, channels, max_delay + 1, *[kernel] * dims)
        self.weight = normal(*shape, spread=gain / (channels * (max_delay + 1) * kernel**dims) ** 0.5, generator=generator)

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Silence before the first moment; ``leading`` is the shape of one moment, [..., C, (H,) W]."""
        return self.State(torch.zeros(self.max_delay, *leading, device=device or self.weight.device, dtype=dtype or self.weight.dtype))

    def ready(self, x: Tensor, s: Any = None) -> Any:
        """As in ``Cell``; the input has the weights' dtype and at least the kernel's space."""
        form, kernel = ("[..., C, H, W]" if self.dims == 2 else "[..., C, W]"), self.weight.shape[-1]
        check_input(x, self.channels, -1 - self.dims, form, self.weight, "DelayedConv")
        if min(x.shape[-self.dims :]) + 2 * self.padding < kernel:
            raise ValueError(
                f"DelayedConv has a kernel of {kernel} and was given space {list(x.shape[-self.dims :])}; give larger inputs or more padding."
            )
        return super().ready(x, s)

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., C, (H,) W] -> ``y`` [..., M, (H',) W']."""
        s = self.ready(x, s)
        window = torch.cat((s.buffer, x.unsqueeze(0)))
        return self._convolve(window).squeeze(0), self.State(window[1:])

    def forward(self, x: Tensor, s: Any = None, **along: Tensor | None) -> tuple[Tensor, State]:
        """A sequence: ``x`` [T, ..., C, (H,) W] -> ``y`` [T, ..., M, (H',) W']; one convolution, or moment by moment while the state is observed or clamped."""
        if along:
            raise TypeError(f"DelayedConv takes x and a state, {sorted(along)} was given too; leave it out.")
        self._check_input(x, "[T, ..., C, (H,) W], time first", 2 + self.dims)
        if "step" in vars(self) or len(x) == 0:  # a tap reads or writes the buffer of every moment
            y, s = super().forward(x, s)
            return y, s
        s = self.ready(x[0], s)
        window = torch.cat((s.buffer, x))
        return self._convolve(window), self.State(window[len(x) :])

    def _convolve(self, window: Tensor) -> Tensor:
        """Causal convolution of ``window`` [max_delay + T, ..., C, (H,) W] -> [T, ..., M, (H',) W']."""
        place = window.shape[-1 - self.dims :]
        x = window.reshape(len(window), -1, *place).movedim(0, 2)
        convolve = F.conv3d if self.dims == 2 else F.conv2d
        y = convolve(x, self.weight.flip(2), padding=(0, *[self.padding] * self.dims)).movedim(2, 0)
        return y.reshape(len(y), *window.shape[1 : -1 - self.dims], *y.shape[2:])

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"channels={self.channels}, out_channels={self.out_channels}, kernel={self.weight.shape[-1]}, max_delay={self.max_delay}, dims={self.dims}"
