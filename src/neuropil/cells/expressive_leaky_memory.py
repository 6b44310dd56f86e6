"""The expressive leaky memory neuron: one neuron with many slow memories, which a small network of its dendrites writes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from neuropil.dynamics import Cell, Decay
from neuropil.dynamics.parameter import Value, check_dt
from neuropil.dynamics.registry import CELLS


def log_spaced(shortest: float, longest: float, n: int) -> Tensor:
    """Give ``n`` time constants f32 [n] from ``shortest`` to ``longest``, neighbours in equal proportion; raises ``ValueError`` for ends that are not positive and in order."""
    if not 0 < shortest <= longest < math.inf:
        raise ValueError(f"Time constants go from above 0 up, {shortest!r} to {longest!r} was given; give the shorter first.")
    return torch.logspace(math.log10(shortest), math.log10(longest), n, dtype=torch.float64).float()


@CELLS.register(cites=("spieler2024",), tags=("leaky", "rate", "memory"))
class ExpressiveLeakyMemory(Cell):
    """Expressive leaky memory (ELM) neuron: leaky memories, what is written into them computed from all synapses and all memories.

    Equation: ``s <- d_s s + x``; ``b_j = sum_k relu(w_jk) s_(j stride + k)``; ``m <- d m + scale (1 - d) f(V relu(U [b, d m] + a) + c)`` with ``f(z) = 1.7159 tanh(2 z / 3)``,
    ``d = exp(-dt / tau)`` a memory, ``d_s`` the same of ``tau_synapse``; ``y = m``, or ``y = W m + e`` with ``outputs``. As the trace is linear it is kept a branch: ``trace_j = b_j``.

    ``x`` [T, ..., N] -> ``y`` [T, ..., memory or outputs]; ``memory``: how many (N unless given); ``hidden`` units of the dendrites (``2 memory``); ``branches``: sums over
    ``branch_size`` synapses each, neighbours overlapping where that is above the stride ``ceil(N / branches)``; N branches of one synapse unless given. ``tau`` of the memories in seconds, one or [memory],
    log-spaced from ``dt`` to ``1000 dt`` unless given, learned as logarithms with ``learnable``; ``tau_synapse``, ``dt`` in seconds; ``scale``: lambda. Synapses start at 0.5, layers as ``nn.Linear``, drawn from ``generator``.

    Raises ``ValueError`` for no size, sizes below 1, branches that would leave an input unheard or hear none, times not above 0 or below ``dt``. Source: spieler2024, the first version of the authors' code (the second writes ``1 - exp(-scale dt / tau)``
    for ``scale (1 - d)``, which is 1 at most). Differs from it in one hidden layer, never more, in learned time constants that know no bounds, and in that inputs are routed in their order; interlace excitation and inhibition beforehand.
    """

    emits = "memory"

    class State(NamedTuple):
        """``trace``: synaptic traces summed over each branch [..., branches]; ``memory``: [..., memory], both without unit."""

        trace: Tensor
        memory: Tensor

    def __init__(
        self,
        size: int,
        *,
        memory: int | None = None,
        hidden: int | None = None,
        outputs: int | None = None,
        branches: int | None = None,
        branch_size: int | None = None,
        tau: Value | None = None,
        tau_synapse: float = 0.005,
        dt: float | None = None,
        scale: float = 5.0,
        learnable: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        step = check_dt(dt, type(self).__name__)
        self.memories = _whole("memory", memory, size)
        self.branches = _whole("branches", branches, size)
        self.stride = -(-size // self.branches)
        self.branch_size = _whole("branch_size", branch_size, self.stride)
        if self.branch_size < self.stride or (self.branches - 1) * self.stride >= size:
            raise ValueError(
                f"{self.branches} branches of {self.branch_size} synapses, {self.stride} inputs apart, do not fit {size} inputs: each hears one or more and all are heard; "
                "change branches or branch_size."
            )
        self.out_size = self.memories if outputs is None else _whole("outputs", outputs, size)
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale is above 0 and finite, {scale!r} was given; the authors take 5.")
        self.scale = float(scale)
        self.weight = nn.Parameter(torch.full((self.branches, self.branch_size), 0.5))
        self.decay_synapse = Decay(tau_synapse, dt=dt, name="tau_synapse")
        times = log_spaced(step, 1000 * step, self.memories) if tau is None else tau
        self.decay = Decay(times, dt=dt, size=self.memories, learnable=learnable, per_neuron=True)
        units = _whole("hidden", hidden, 2 * self.memories)
        self.integrate = _linear(self.branches + self.memories, units, generator)
        self.propose = _linear(units, self.memories, generator)
        self.read = None if outputs is None else _linear(self.memories, outputs, generator)

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """No trace and empty memories."""
        place = self._place(device, dtype)
        return self.State(torch.zeros(*leading, self.branches, **place), torch.zeros(*leading, self.memories, **place))

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., memory or outputs]."""
        s = self.ready(x, s)
        trace = self.decay_synapse() * s.trace + self.branch_input(x)
        memory = _write(self._drive(trace), s.memory, *self._dendrites())
        return self._said(memory), self.State(trace, memory)

    def forward(self, x: Tensor, s: Any = None, **along: Tensor | None) -> tuple[Tensor, State]:
        """A sequence: ``x`` [T, ..., N] -> ``y`` [T, ..., memory or outputs] and the last state; what the synapses say is computed for all moments at once."""
        if along or "step" in vars(self) or not isinstance(x, Tensor) or x.ndim < 2 or not len(x):
            found: tuple[Tensor, ExpressiveLeakyMemory.State] = super().forward(x, s, **along)
            return found
        self._check_input(x, "[T, ..., N], time first", 2)
        trace, memory = self.ready(x[0], s)
        traces, memories, forgets, dendrites = [], [], self.decay_synapse(), self._dendrites()
        for moment in self.branch_input(x).unbind():
            trace = forgets * trace + moment
            traces.append(trace)
        for drive in self._drive(torch.stack(traces)).unbind():
            memory = _write(drive, memory, *dendrites)
            memories.append(memory)
        return self._said(torch.stack(memories)), self.State(trace, memory)

    def branch_input(self, x: Tensor) -> Tensor:
        """What the synapses of each branch pass on at one moment: ``x`` [..., N] -> [..., branches]."""
        short = (self.branches - 1) * self.stride + self.branch_size - x.shape[-1]
        return (pad(x, (0, short)).unfold(-1, self.branch_size, self.stride) * self.weight.relu()).sum(-1)

    def _drive(self, trace: Tensor) -> Tensor:
        drive: Tensor = nn.functional.linear(trace, self.integrate.weight[:, : self.branches], self.integrate.bias)
        return drive

    def _dendrites(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What is the same at every moment: U of the memories, V and c in units of the tanh, d, and how far a proposal moves a memory."""
        decay, among = self.decay(), self.integrate.weight[:, self.branches :].mT
        return among, self.propose.weight.mT * (2 / 3), self.propose.bias * (2 / 3), decay, (self.scale * 1.7159) * (1 - decay)

    def _said(self, memory: Tensor) -> Tensor:
        said: Tensor = memory if self.read is None else self.read(memory)
        return said


def _write(drive: Tensor, memory: Tensor, among: Tensor, proposing: Tensor, bias: Tensor, decay: Tensor, reach: Tensor) -> Tensor:
    kept = decay * memory
    hidden = torch.relu(drive + kept @ among)
    return torch.addcmul(kept, reach, torch.tanh(hidden @ proposing + bias))


def _whole(name: str, given: int | None, default: int) -> int:
    value = default if given is None else given
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{name} of an ExpressiveLeakyMemory is a whole number, 1 or more, {value!r} was given; leave it out for {default}."
        )
    return value


def _linear(size: int, out_size: int, generator: torch.Generator | None) -> nn.Linear:
    layer = nn.Linear(size, out_size, device="meta").to_empty(device="cpu")
    for tensor in (layer.weight, layer.bias):
        nn.init.uniform_(tensor, -(size**-0.5), size**-0.5, generator=generator)
    return layer
