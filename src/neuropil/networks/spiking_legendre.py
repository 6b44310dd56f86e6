"""A Legendre memory unit of spiking neurons: its encoder, its memory and its hidden state are populations of leaky integrate-and-fire neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.cells import legendre_matrices
from neuropil.dynamics import Arctan, Cell, Surrogate
from neuropil.networks.legendre import lecun_uniform, xavier_normal
from neuropil.synapses.synapse import check_size


class Population(NamedTuple):
    """``v``: potentials, in units of the threshold at the start; ``spikes``: of the last moment, 0 or 1."""

    v: Tensor
    spikes: Tensor


class SpikingLegendreMemoryUnit(Cell):
    """Spiking Legendre memory unit (L2MU).

    Equation, with ``s`` the spikes of a population and ``LIF(I)``: ``v <- beta v + I - threshold s``, ``s = 1 if v >= threshold``, beta and threshold a population's own and learned:
    ``s_u = LIF(E_x x + E_h s_h + E_m s_m)``; ``s_m = LIF(A s_m + B s_u)`` in each of ``memory`` units, order by order; ``s_h = LIF(W_x x + W_h s_h + W_m s_m)``; ``y = s_h``. ``A``, ``B`` are fixed.
    With ``signed`` u and m are pairs of neurons that hear ``I`` and ``-I``, and s is the spike of the first less that of the second: -1, 0 or 1. Without, negative coefficients of the window have no spikes, as in the authors' cell.

    ``x`` [T, ..., N] (currents or spikes) -> ``y`` [T, ..., hidden]; ``order`` states a memory unit; ``theta``: the window in steps; ``matrices(order, theta)`` gives ``A``, ``B`` (``legendre_matrices``, or ``leaky_matrices`` for traces that do not hear one another);
    ``surrogate``: ``Arctan(2)`` unless given. E_x, E_h uniform within ``(3 / fan_in)^(1/2)``, E_m 0, W normal with variance ``2 / (fan_in + fan_out)``, drawn from ``generator``; no biases.

    Raises ``ValueError`` for sizes below 1, beta outside (0, 1), a threshold not above 0. Source: l2mu2024 (the authors' code); the linear unit is voelker2019. Differs from the code in the signed pairs, in a beta that is kept between 0 and 1 by its logit, and in
    that a potential at the threshold exactly is a spike.
    """

    emits = "spikes"
    A: Tensor
    B: Tensor

    class State(NamedTuple):
        """``encoder``, ``memory``, ``hidden``: one population each; with ``signed`` the first two have pairs along their last axis."""

        encoder: Population
        memory: Population
        hidden: Population

    def __init__(
        self,
        size: int,
        *,
        memory: int = 16,
        order: int = 6,
        hidden: int = 64,
        theta: float = 25.0,
        signed: bool = True,
        matrices: Callable[[int, float], tuple[Tensor, Tensor]] = legendre_matrices,
        beta: float = 0.9,
        threshold: float = 1.0,
        surrogate: Surrogate | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size)
        for name, given in (("size", size), ("memory", memory), ("hidden", hidden)):
            check_size(given, name, type(self).__name__)
        if not (0 < beta < 1 and threshold > 0):
            raise ValueError(f"beta lies between 0 and 1 and threshold is above 0, {beta!r} and {threshold!r} were given.")
        self.memory, self.order, self.hidden, self.signed, self.out_size = memory, order, hidden, signed, hidden
        A, B = matrices(order, theta)
        self.A, self.B = nn.Buffer(A.float()), nn.Buffer(B.float())
        states = memory * order
        self.encode_input, self.encode_hidden = (lecun_uniform(memory, n, generator) for n in (size, hidden))
        self.encode_memory = nn.Parameter(torch.zeros(memory, states))
        self.input, self.recurrent, self.read = (xavier_normal(hidden, n, generator) for n in (size, hidden, states))
        self.beta_logit = nn.Parameter(torch.full((3,), beta).logit())
        self.threshold = nn.Parameter(torch.full((3,), threshold))
        self.surrogate = Surrogate.of(surrogate, Arctan(slope=2.0))

    @property
    def beta(self) -> Tensor:
        """What is left of a potential after a step, for encoder, memory and hidden state [3]."""
        return torch.sigmoid(self.beta_logit)

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """All at rest, and no spike yet."""
        place, pair = self._place(device, dtype), (2,) if self.signed else ()
        shapes = ((*leading, self.memory, *pair), (*leading, self.memory, self.order, *pair), (*leading, self.hidden))
        return self.State(*(Population(torch.zeros(shape, **place), torch.zeros(shape, **place)) for shape in shapes))

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> spikes [..., hidden]."""
        s = self.ready(x, s)
        return self._move(x @ self.encode_input.mT, x @ self.input.mT, s, self.beta, self.threshold)

    def forward(self, x: Tensor, s: Any = None, **along: Tensor | None) -> tuple[Tensor, State]:
        """A sequence: ``x`` [T, ..., N] -> spikes [T, ..., hidden] and the last state; what the input says is computed for all moments at once."""
        if along or "step" in vars(self) or not isinstance(x, Tensor) or x.ndim < 2 or not len(x):
            found: tuple[Tensor, SpikingLegendreMemoryUnit.State] = super().forward(x, s, **along)
            return found
        self._check_input(x, "[T, ..., N], time first", 2)
        s, said, beta = self.ready(x[0], s), [], self.beta
        for encoded, heard in zip((x @ self.encode_input.mT).unbind(), (x @ self.input.mT).unbind(), strict=True):
            y, s = self._move(encoded, heard, s, beta, self.threshold)
            said.append(y)
        return torch.stack(said), s

    def coefficients(self, s: State) -> Tensor:
        """What the memory says: the spikes of its neurons, or the first of each pair less the second, [..., memory, order]."""
        return _sum(s.memory.spikes) if self.signed else s.memory.spikes

    def _move(self, encoded: Tensor, heard: Tensor, s: State, beta: Tensor, threshold: Tensor) -> tuple[Tensor, State]:
        remembered, hidden = self.coefficients(s), s.hidden.spikes
        encoder = self._fire(
            0, s.encoder, encoded + hidden @ self.encode_hidden.mT + remembered.flatten(-2) @ self.encode_memory.mT, beta, threshold
        )
        written = _sum(encoder.spikes) if self.signed else encoder.spikes
        memory = self._fire(1, s.memory, remembered @ self.A.mT + written.unsqueeze(-1) * self.B, beta, threshold)
        after = self.State(encoder, memory, s.hidden)
        current = heard + hidden @ self.recurrent.mT + self.coefficients(after).flatten(-2) @ self.read.mT
        v = beta[2] * s.hidden.v + current - s.hidden.spikes.detach() * threshold[2]
        spikes = self.surrogate(v - threshold[2])
        return spikes, after._replace(hidden=Population(v, spikes))

    def _fire(self, which: int, before: Population, current: Tensor, beta: Tensor, threshold: Tensor) -> Population:
        if self.signed:
            current = torch.stack([current, -current], -1)
        v = beta[which] * before.v + current - before.spikes.detach() * threshold[which]
        return Population(v, self.surrogate(v - threshold[which]))


def _sum(pairs: Tensor) -> Tensor:
    return pairs[..., 0] - pairs[..., 1]
