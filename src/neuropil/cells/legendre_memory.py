"""Legendre memory: a few linear states a channel from which the whole of its last seconds can be read."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.cells.expressive_leaky_memory import log_spaced
from neuropil.dynamics import Cell
from neuropil.dynamics.registry import CELLS


def legendre_matrices(order: int, theta: float) -> tuple[Tensor, Tensor]:
    """Give ``A`` f64 [order, order] and ``B`` f64 [order] of the Legendre delay network, for steps of 1 and a window of ``theta`` steps.

    Equation: ``theta dm/dt = a m + b x``, ``a_ij = (2 i + 1) (-1 if i < j else (-1)^(i - j + 1))``, ``b_i = (2 i + 1) (-1)^i``, solved for an ``x`` held over each step (zero-order hold):
    ``A = exp(a / theta)``, ``B = a^-1 (A - 1) b``. Source: voelker2019. Raises ``ValueError`` for an order below 1 or a window not above 0.
    """
    _check(order, theta)
    i = torch.arange(order, dtype=torch.float64)
    sign = torch.where(i[:, None] < i, -1.0, (-1.0) ** (i[:, None] - i + 1))
    a, b = (2 * i[:, None] + 1) * sign, (2 * i + 1) * (-1.0) ** i
    A = torch.linalg.matrix_exp(a / theta)
    return A, torch.linalg.solve(a, (A - torch.eye(order, dtype=torch.float64)) @ b)


def leaky_matrices(order: int, theta: float) -> tuple[Tensor, Tensor]:
    """Give ``A`` f64 [order, order], diagonal, and ``B`` f64 [order] of leaky traces that do not hear one another, time constants log-spaced from 1 step to ``theta``.

    Equation: ``tau_i dm_i/dt = -m_i + x`` with ``x`` held over each step: ``A_ii = exp(-1 / tau_i)``, ``B_i = 1 - A_ii``. Raises as ``legendre_matrices``, and for a window below 1.
    """
    _check(order, theta)
    decay = torch.exp(-1 / log_spaced(1.0, theta, order).double())
    return torch.diag(decay), 1 - decay


def shifted_legendre(order: int, share: Tensor) -> Tensor:
    """Give the Legendre polynomials ``P_0 .. P_(order - 1)`` at ``2 share - 1``: ``share`` [...] from 0 to 1 -> [..., order], by Bonnet's recursion."""
    x = 2 * share - 1
    found = [torch.ones_like(x), x]
    for n in range(1, order - 1):
        found.append(((2 * n + 1) * x * found[n] - n * found[n - 1]) / (n + 1))
    return torch.stack(found[:order], -1)


@CELLS.register(cites=("voelker2019",), tags=("linear", "memory"), example={"size": 4, "order": 3, "theta": 8.0}, features=(4,))
class LegendreMemory(Cell):
    """Legendre delay network: every channel's window of the last ``theta`` steps as coefficients of Legendre polynomials.

    Equation: ``m <- A m + B x`` a channel, ``A`` and ``B`` as ``legendre_matrices``; the input ``lag`` steps ago is about ``sum_i P_i((2 lag + 1) / theta - 1) m_i`` (``read``; half a step, as it was held for one), the better the slower the input.

    ``x`` [T, ..., N] -> ``y`` [T, ..., N order], channel by channel; ``theta`` in steps. With ``matrices`` any other linear memory, such as ``leaky_matrices``. Nothing is learned. Raises ``ValueError`` for no size, an order below 1, a window not above 0.
    Source: voelker2019.
    """

    emits = "memory"
    A: Tensor
    B: Tensor

    class State(NamedTuple):
        """``memory``: coefficients [..., N, order], in the units of the input."""

        memory: Tensor

    def __init__(
        self,
        size: int,
        *,
        order: int,
        theta: float,
        matrices: Callable[[int, float], tuple[Tensor, Tensor]] = legendre_matrices,
    ) -> None:
        super().__init__(size)
        if size is None:
            raise ValueError("A LegendreMemory needs its number of channels, None was given; give size, 1 or more.")
        A, B = matrices(order, theta)
        self.order, self.theta, self.out_size = order, theta, size * order
        self.A, self.B = nn.Buffer(A.float()), nn.Buffer(B.float())

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """An empty window."""
        return self.State(torch.zeros(*leading, self._channels, self.order, **self._place(device, dtype)))

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., N order]."""
        s = self.ready(x, s)
        memory = s.memory @ self.A.mT + x.unsqueeze(-1) * self.B
        return memory.flatten(-2), self.State(memory)

    def read(self, y: Tensor, lag: Tensor) -> Tensor:
        """Read the window: ``y`` [..., N order], ``lag`` [L] steps, 0 for the last input, below ``theta`` -> what the input was, [..., N, L]."""
        inputs: Tensor = (
            y.unflatten(-1, (self._channels, self.order)) @ shifted_legendre(self.order, (lag.to(y.dtype) + 0.5) / self.theta).mT
        )
        return inputs

    @property
    def _channels(self) -> int:
        assert self.size is not None
        return self.size


def _check(order: int, theta: float) -> None:
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"The order of a memory is its number of states a channel, 1 or more, {order!r} was given.")
    if not (math.isfinite(theta) and theta > 0):
        raise ValueError(f"The window theta is above 0 steps, {theta!r} was given.")
