"""The Legendre memory unit: a hidden state that writes into a linear memory of its last seconds, and reads from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.cells import legendre_matrices
from neuropil.dynamics import Cell
from neuropil.synapses.synapse import check_size


class LegendreMemoryUnit(Cell):
    """Legendre memory unit (LMU).

    Equation: ``u = E_x x + E_h h + E_m m``; ``m <- A m + B u`` in each of ``memory`` units, order by order; ``h <- tanh(W_x x + W_h h + W_m m)``; ``y = h``. ``A``, ``B`` are fixed.

    ``x`` [T, ..., N] -> ``y`` [T, ..., hidden]; ``order`` states a memory unit; ``theta``: the window in steps; ``matrices(order, theta)`` gives ``A``, ``B`` (``legendre_matrices``, or ``leaky_matrices``). E_x, E_h uniform within ``(3 / fan_in)^(1/2)``,
    E_m 0, W normal with variance ``2 / (fan_in + fan_out)``, drawn from ``generator``; no biases. Raises ``ValueError`` for sizes below 1. Source: voelker2019.
    """

    emits = "rate"
    A: Tensor
    B: Tensor

    class State(NamedTuple):
        """``memory``: coefficients [..., memory, order]; ``hidden``: [..., hidden]."""

        memory: Tensor
        hidden: Tensor

    def __init__(
        self,
        size: int,
        *,
        memory: int = 16,
        order: int = 6,
        hidden: int = 64,
        theta: float = 25.0,
        matrices: Callable[[int, float], tuple[Tensor, Tensor]] = legendre_matrices,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size)
        for name, given in (("size", size), ("memory", memory), ("hidden", hidden)):
            check_size(given, name, type(self).__name__)
        self.memory, self.order, self.hidden, self.out_size = memory, order, hidden, hidden
        A, B = matrices(order, theta)
        self.A, self.B = nn.Buffer(A.float()), nn.Buffer(B.float())
        self.encode_input, self.encode_hidden = (lecun_uniform(memory, n, generator) for n in (size, hidden))
        self.encode_memory = nn.Parameter(torch.zeros(memory, memory * order))
        self.input, self.recurrent, self.read = (xavier_normal(hidden, n, generator) for n in (size, hidden, memory * order))

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Nothing heard, nothing held."""
        place = self._place(device, dtype)
        return self.State(torch.zeros(*leading, self.memory, self.order, **place), torch.zeros(*leading, self.hidden, **place))

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., hidden]."""
        s = self.ready(x, s)
        return self._move(x @ self.encode_input.mT, x @ self.input.mT, s)

    def forward(self, x: Tensor, s: Any = None, **along: Tensor | None) -> tuple[Tensor, State]:
        """A sequence: ``x`` [T, ..., N] -> ``y`` [T, ..., hidden] and the last state; what the input says is computed for all moments at once."""
        if along or "step" in vars(self) or not isinstance(x, Tensor) or x.ndim < 2 or not len(x):
            found: tuple[Tensor, LegendreMemoryUnit.State] = super().forward(x, s, **along)
            return found
        self._check_input(x, "[T, ..., N], time first", 2)
        s, said = self.ready(x[0], s), []
        for encoded, heard in zip((x @ self.encode_input.mT).unbind(), (x @ self.input.mT).unbind(), strict=True):
            y, s = self._move(encoded, heard, s)
            said.append(y)
        return torch.stack(said), s

    def _move(self, encoded: Tensor, heard: Tensor, s: State) -> tuple[Tensor, State]:
        u = encoded + s.hidden @ self.encode_hidden.mT + s.memory.flatten(-2) @ self.encode_memory.mT
        memory = s.memory @ self.A.mT + u.unsqueeze(-1) * self.B
        hidden = torch.tanh(heard + s.hidden @ self.recurrent.mT + memory.flatten(-2) @ self.read.mT)
        return hidden, self.State(memory, hidden)


def lecun_uniform(rows: int, columns: int, generator: torch.Generator | None) -> nn.Parameter:
    """Weights [rows, columns] uniform within ``(3 / columns)^(1/2)``: variance ``1 / columns`` (lecun1998b)."""
    bound = (3 / columns) ** 0.5
    return nn.Parameter(torch.empty(rows, columns).uniform_(-bound, bound, generator=generator))


def xavier_normal(rows: int, columns: int, generator: torch.Generator | None) -> nn.Parameter:
    """Weights [rows, columns], normal with variance ``2 / (rows + columns)`` (glorot2010)."""
    return nn.Parameter(torch.randn(rows, columns, generator=generator) * (2 / (rows + columns)) ** 0.5)
