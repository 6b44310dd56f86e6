"""The event-based gated recurrent unit: a GRU whose units speak only when their state passes a threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, Surrogate, Triangular, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


def _gru(off: EventGRU) -> Callable[[Tensor], Tensor]:
    """What is left without threshold and reset: torch's gated recurrent unit."""
    neurons = off.neurons
    gru = nn.GRU(off.size or 1, neurons).to(off.weight)
    update, reset, candidate = torch.arange(3 * neurons).chunk(3)
    order, theirs = torch.cat((reset, update, candidate)), dict(gru.named_parameters())
    with torch.no_grad():
        theirs["weight_ih_l0"].copy_(off.weight[order])
        theirs["weight_hh_l0"].copy_(off.recurrent[order])
        theirs["bias_ih_l0"].copy_(off.bias[order])
        theirs["bias_hh_l0"].zero_()
        theirs["bias_hh_l0"][2 * neurons :] = off.recurrent_bias
    return lambda x: gru(x.reshape(len(x), -1, x.shape[-1]))[0].reshape(*x.shape[:-1], neurons)


@CELLS.register(
    cites=("subramoney2023", "egru-spinnaker2-2023"),
    tags=("gated", "event", "graded"),
    example={"size": 4, "neurons": 3},
    off={"threshold": -2.0, "reset": 0.0},
    like=_gru,
)
class EventGRU(Cell):
    """Event-based gated recurrent unit (EGRU): gates and candidate hear only what passed a threshold, and passing it costs the threshold.

    Equation: ``u = sig(W_u x + V_u y + b_u)``; ``r = sig(W_r x + V_r y + b_r)``; ``g = tanh(W_g x + b_g + r (V_g y + a))``; ``c <- u h + (1 - u) g``;
    ``event = 1 if c >= threshold else 0``; ``y <- event c``; ``h <- c - reset event threshold``. A unit without an event sends an exact 0, which costs its targets nothing.
    Backwards ``d event / d c = scale max(0, 1 - slope |c - threshold|)``. ``reset`` is the share of its threshold that an event costs, 1 in the paper. At a threshold of -2 and a reset of 0 every unit always speaks, and no surrogate passes anything on: it is ``nn.GRU``.

    ``x`` [T, ..., N] -> ``y`` [T, ..., neurons], 0 or at least ``threshold``; ``weight`` [3 neurons, N], ``recurrent`` [3 neurons, neurons], ``bias`` [3 neurons], ``recurrent_bias`` ``a`` [neurons], in the order update,
    reset, candidate; ``threshold`` one number or [neurons] below 1, ``learnable`` makes it a parameter that the user keeps in range (``clamp_()``: 0 to 1); ``surrogate``: ``Triangular(slope=1, scale=0.7)`` unless given; for
    language the authors take a slope of 3.6. Matrices start as ``N(0, 2 / (fan in + fan out))`` over all three gates, biases at 0, from ``generator``.
    Raises ``ValueError`` for sizes below 1 and thresholds of 1 or more. Source: subramoney2023; egru-spinnaker2-2023 is the same unit on a chip.
    Differs from the authors' code in an event at ``c = threshold`` exactly, one bias a gate instead of two that add, no zoneout, and thresholds without a law (theirs are drawn from a beta distribution; see ``beta_thresholds``).
    """

    emits = "events"
    threshold: Tensor

    class State(NamedTuple):
        """``h``: the state after the reset; ``y``: what was said last, both [..., neurons], without unit."""

        h: Tensor
        y: Tensor

    def __init__(
        self,
        size: int,
        *,
        neurons: int,
        threshold: Value = 0.3,
        learnable: bool = False,
        reset: float = 1.0,
        surrogate: Surrogate | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size)
        if isinstance(neurons, bool) or not isinstance(neurons, int) or neurons < 1:
            raise ValueError(f"neurons is how many an EventGRU has, 1 or more, {neurons!r} was given.")
        self.out_size = self.neurons = neurons
        if not reset >= 0:
            raise ValueError(f"reset is the share of its threshold that an event costs, 0 or more, {reset!r} was given; the paper has 1.")
        self.reset = float(reset)
        self.threshold = parameter(threshold, size=neurons, learnable=learnable, per_neuron=learnable, name="threshold")
        if not (self.threshold < 1).all():
            raise ValueError(f"A threshold is below 1, which c never passes, {self.threshold.tolist()} was given; 0.3 is a start.")
        self.surrogate = Surrogate.of(surrogate, Triangular(slope=1.0, scale=0.7))
        self.weight, self.recurrent = (
            nn.Parameter(torch.randn(3 * neurons, fan_in, generator=generator) * (2 / (3 * neurons + fan_in)) ** 0.5)
            for fan_in in (size, neurons)
        )
        self.bias, self.recurrent_bias = nn.Parameter(torch.zeros(3 * neurons)), nn.Parameter(torch.zeros(neurons))

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """At rest: states and outputs 0."""
        place = self._place(device, dtype)
        return self.State(torch.zeros(*leading, self.neurons, **place), torch.zeros(*leading, self.neurons, **place))

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., neurons]."""
        y, _, s = self._moment(x @ self.weight.mT + self.bias, self.ready(x, s))
        return y, s

    def forward(self, x: Tensor, s: Any = None, **along: Tensor | None) -> tuple[Tensor, State]:
        """A sequence: ``x`` [T, ..., N] -> ``y`` [T, ..., neurons]; moment by moment while a state is observed or clamped."""
        if along or "step" in vars(self) or not isinstance(x, Tensor) or x.ndim < 2 or not len(x):
            y, s = super().forward(x, s, **along)
            return y, s
        y, _, s = self.speak(x, s)
        return y, s

    def speak(self, x: Tensor, s: Any = None) -> tuple[Tensor, Tensor, State]:
        """A sequence with its events: ``x`` [T, ..., N] -> ``y``, ``event`` (0 or 1, backwards the surrogate: for penalties on activity), the last state; the product with ``x`` is taken of all moments at once."""
        self._check_input(x, "[T, ..., N], time first", 2)
        s, ys, events = self.ready(x[0], s), [], []
        for driven in (x @ self.weight.mT + self.bias).unbind():
            y, event, s = self._moment(driven, s)
            ys.append(y)
            events.append(event)
        return torch.stack(ys), torch.stack(events), s

    def _moment(self, driven: Tensor, s: State) -> tuple[Tensor, Tensor, State]:
        """One moment of what the input drives, [..., 3 neurons]."""
        heard, split = s.y @ self.recurrent.mT, (2 * self.neurons, self.neurons)
        (of_gates, of_candidate), (gates_heard, candidate_heard) = driven.split(split, -1), heard.split(split, -1)
        update, gate = torch.sigmoid(of_gates + gates_heard).chunk(2, -1)
        candidate = torch.tanh(of_candidate + gate * (candidate_heard + self.recurrent_bias))
        c = torch.lerp(candidate, s.h, update)
        event = self.surrogate(c - self.threshold)
        y = event * c
        return y, event, self.State(c - event * (self.reset * self.threshold) if self.reset else c, y)

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring thresholds that an optimiser moved out of range back to 0 .. 1."""
        self.threshold.clamp_(0, 1)


def beta_thresholds(neurons: int, *, mean: float = 0.3, generator: torch.Generator) -> Tensor:
    """Draw thresholds [neurons] between 0 and 1 as the authors of the EGRU do: ``Beta(3 mean / (1 - mean), 3)``; raises ``ValueError`` for a mean outside 0 to 1."""
    if not 0 < mean < 1:
        raise ValueError(f"mean of thresholds lies between 0 and 1, {mean!r} was given.")
    first, second = (torch._standard_gamma(torch.full((neurons,), shape), generator) for shape in (3 * mean / (1 - mean), 3.0))
    return first / (first + second)
