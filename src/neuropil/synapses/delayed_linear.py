"""Learnable delays: dilated convolutions with learnable spacings (DCLS), one delay a synapse."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.dynamics import Cell
from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.synapse import check_input, check_size

SHARPEST = 0.01  # steps: the Gaussian then has one tap, exactly, in any dtype


@SYNAPSES.register(
    cites=("hammouamri2024", "khalfaoui2023"),
    tags=("delays", "learnable"),
    example={"size": 4, "out_size": 3, "max_delay": 6},
    off={"max_delay": 0},
    like=lambda off: lambda x: x @ off.weight.mT,
)
class DelayedLinear(Cell):
    """A weight and a delay for every synapse; a Gaussian over the taps makes the delay differentiable and sharpens to whole steps.

    Equation: ``y_m(t) = sum_n W_mn sum_k g_mn(k) x_n(t - k)`` for ``k = 0 .. max_delay``, with
    ``g_mn(k) = exp(-(k - delay_mn)^2 / (2 width^2))``, normalised over ``k``.

    ``x`` [T, ..., N] -> ``y`` [T, ..., M], silence before the first moment; ``weight``, ``delay`` [M, N]; ``delay``, ``width`` in steps.
    ``delay`` is drawn uniformly in [0, max_delay] unless given; ``learnable=False`` fixes it. ``width`` starts at ``max_delay / 2`` unless
    given; call ``anneal(progress)`` as training goes and ``clamp_()`` after each step of the optimiser; ``discretise_()`` gives whole delays.
    Raises ``ValueError`` for delays beyond [0, max_delay], a width not above 0 and sizes below 1; ``TypeError`` for inputs of another dtype.
    Source: hammouamri2024, khalfaoui2023. Differs from the authors' code in that ``width`` is the whole standard deviation (theirs adds
    0.27 to it), in an exact normalisation, and in delays counted from 0 rather than from the middle of the kernel.
    """

    emits = "current"
    width: Tensor

    class State(NamedTuple):
        """``buffer``: what came in, [max_delay, ..., N], newest last."""

        buffer: Tensor

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        max_delay: int,
        delay: Tensor | None = None,
        width: float | None = None,
        learnable: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size)
        self.out_size = check_size(out_size, "out_size", "DelayedLinear")
        if isinstance(max_delay, bool) or not isinstance(max_delay, int) or max_delay < 0:
            raise ValueError(f"max_delay is a whole number of steps, 0 or more, {max_delay!r} was given; it is time / dt.")
        self.max_delay = max_delay
        bound = (6 / size) ** 0.5
        self.weight = nn.Parameter((2 * torch.rand(out_size, size, generator=generator) - 1) * bound)
        if delay is None:
            delay = torch.rand(out_size, size, generator=generator) * max_delay
        if delay.shape != (out_size, size):
            raise ValueError(f"delay is [{out_size}, {size}], {list(delay.shape)} was given; one delay a synapse.")
        if not ((delay >= 0) & (delay <= max_delay)).all():
            raise ValueError(
                f"Delays lie in [0, {max_delay}] steps, {float(delay.min()):g} to {float(delay.max()):g} were given; raise max_delay."
            )
        delay = delay.detach().to(self.weight.dtype).clone()
        self.delay = nn.Parameter(delay) if learnable else nn.Buffer(delay)
        self.widest = max(max_delay / 2, 0.5) if width is None else width
        if not 0 < self.widest < float("inf"):
            raise ValueError(f"width is a number of steps above 0, {width!r} was given; training begins wide, at about max_delay / 2.")
        self.width = nn.Buffer(torch.tensor(float(self.widest)))

    def taps(self) -> Tensor:
        """The normalised Gaussians ``g`` [M, N, max_delay + 1], tap ``k`` for a delay of ``k`` steps."""
        k = torch.arange(self.max_delay + 1, device=self.delay.device, dtype=self.delay.dtype)
        return torch.softmax(-0.5 * ((k[:, None, None] - self.delay) / self.width).square(), 0).permute(1, 2, 0)

    def kernel(self) -> Tensor:
        """``W g`` [M, N, max_delay + 1]."""
        return self.weight.unsqueeze(-1) * self.taps()

    def anneal(self, progress: float, *, by: float = 0.25, narrowest: float = 0.5) -> None:
        """Sharpen: ``width`` falls exponentially from its start to ``narrowest`` steps as ``progress`` (0 to 1) reaches ``by``, then stays."""
        if not (0 <= progress <= 1 and 0 < by <= 1 and narrowest > 0):
            raise ValueError(
                f"anneal takes progress in [0, 1], by in (0, 1] and narrowest above 0, {progress}, {by}, {narrowest} were given."
            )
        self.width.fill_(self.widest * (min(narrowest, self.widest) / self.widest) ** min(progress / by, 1.0))

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring delays that an optimiser moved out of range back to [0, max_delay]."""
        self.delay.clamp_(0, self.max_delay)

    @torch.no_grad()
    def discretise_(self) -> None:
        """Round every delay to a whole step and sharpen the Gaussian to that one tap: what runs on event-driven hardware."""
        self.clamp_()
        self.delay.round_()
        self.width.fill_(SHARPEST)

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Silence before the first moment."""
        place: dict[str, Any] = {"device": device or self.weight.device, "dtype": dtype or self.weight.dtype}
        return self.State(torch.zeros(self.max_delay, *leading, self.size or 0, **place))

    def ready(self, x: Tensor, s: Any = None) -> Any:
        """As in ``Cell``; the input has the weights' dtype."""
        s = super().ready(x, s)
        check_input(x, self.weight.shape[1], -1, "[..., N]", self.weight, "DelayedLinear")
        return s

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., M]."""
        s = self.ready(x, s)
        window = torch.cat((s.buffer, x.unsqueeze(0)))
        y = torch.einsum("mnk,k...n->...m", self.kernel().flip(-1), window)
        return y, self.State(window[1:])

    def forward(self, x: Tensor, s: Any = None, **along: Tensor | None) -> tuple[Tensor, State]:
        """A sequence: ``x`` [T, ..., N] -> ``y`` [T, ..., M]; one convolution over time, or moment by moment while the state is observed or clamped."""
        if along:
            raise TypeError(f"DelayedLinear takes x and a state, {sorted(along)} was given too; leave it out.")
        if "step" in vars(self):  # a tap reads or writes the buffer of every moment
            y, s = super().forward(x, s)
            return y, s
        self._check_input(x, "[T, ..., N], time first", 2)
        if len(x) == 0:
            return self._nothing(x, s, {})
        s = self.ready(x[0], s)
        if self.max_delay == 0:
            return x @ self.weight.mT, s
        window = torch.cat((s.buffer, x))
        series = window.reshape(len(window), -1, window.shape[-1]).permute(1, 2, 0)
        y = F.conv1d(series, self.kernel().flip(-1)).permute(2, 0, 1)
        return y.reshape(len(x), *x.shape[1:-1], y.shape[-1]), self.State(window[len(x) :])
