"""Event unit: a leaky candidate that says its value when it is above threshold, and nothing otherwise."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.cells.leaky_rate import LeakyRate
from neuropil.dynamics import Cell, Surrogate, Triangular, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


def _rectified(off: "EventUnit") -> Callable[[Tensor], Tensor]:
    """What is left without a threshold: a leaky rate unit that hears ``tanh(x)`` and says what is above 0."""
    rate = LeakyRate(off.size, tau=-1 / off.gate.log(), dt=1.0, activation=torch.relu)
    return lambda x: rate(torch.tanh(x))[0]


@CELLS.register(cites=("subramoney2023",), tags=("leaky", "event", "graded"), example={"size": 4}, off={"threshold": 0.0}, like=_rectified)
class EventUnit(Cell):
    """Event unit: the elementwise core of the event-based gated recurrent unit (EGRU).

    Equation: ``c <- gate c + (1 - gate) tanh(x)``; ``event = 1 if c >= threshold else 0``; ``y = event c``; ``c <- c - event threshold``.
    Backwards ``d event / d c = scale max(0, 1 - slope |c - threshold|)``, in the reset too. ``c`` stays between -1 and 1, so that a threshold of 1 or more is never reached. At
    threshold 0 nothing is held back or subtracted: forwards it is then a leaky rate unit of ``tanh(x)`` with a rectified readout.

    ``x``, ``y`` [T, ..., N] without unit, ``y`` 0 or at least ``threshold``; ``gate`` between 0 and 1 (kept as its logit), the share that is left after one step,
    ``threshold`` at least 0 and below 1, both shared or [N]; ``learnable`` makes both parameters; ``surrogate``: ``Triangular(slope=1, scale=0.7)``, the
    authors' dampening factor and support, unless given. Raises ``ValueError`` for a gate or a threshold that is not. Source: subramoney2023.
    Differs from the EGRU in its gates: there an update and a reset gate are computed at every moment from the input and the last outputs by matrix
    products, which is a layer and not an elementwise cell; here the gate is a number of the neuron. Differs from the authors' code at ``c = threshold`` exactly, where there is no event.
    """

    emits = "events"

    class State(NamedTuple):
        """``c``: the candidate's running mean, less the threshold for each event."""

        c: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        gate: Value = 0.5,
        threshold: Value = 0.3,
        learnable: bool = False,
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(size)
        share = parameter(gate, size=size, name="gate")
        self.threshold = parameter(threshold, size=size, learnable=learnable, name="threshold")
        if not ((share > 0) & (share < 1)).all():
            raise ValueError(f"gate is between 0 and 1, {share.tolist()} was given; its default is a start.")
        if not ((self.threshold >= 0) & (self.threshold < 1)).all():
            raise ValueError(f"threshold is at least 0 and below 1, {self.threshold.tolist()} was given; its default is a start.")
        self.gate_logit = parameter(torch.logit(share), size=size, learnable=learnable, name="gate_logit")
        self.surrogate = Surrogate.of(surrogate, Triangular(slope=1.0, scale=0.7))

    @property
    def gate(self) -> Tensor:
        """The share of ``c`` that is left after one step."""
        return torch.sigmoid(self.gate_logit)

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        gate = self.gate
        c = gate * s.c + (1 - gate) * torch.tanh(x)
        event = self.surrogate(c - self.threshold)
        return self.State(c - event * self.threshold), event * c
