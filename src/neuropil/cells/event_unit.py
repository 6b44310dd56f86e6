"""Event unit: a leaky candidate that says its value when it is above threshold, and nothing otherwise."""

from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.dynamics import Cell, Surrogate, Triangular, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


@CELLS.register(cites=("subramoney2023",), tags=("leaky", "event", "graded"), example={"size": 4})
class EventUnit(Cell):
    """Event unit: the elementwise core of the event-based gated recurrent unit (EGRU).

    Equation: ``c <- gate c + (1 - gate) tanh(x)``; ``event = 1 if c >= threshold else 0``; ``y = event c``; ``c <- c - event threshold``.
    Backwards ``d event / d c = scale max(0, 1 - slope |c - threshold|)``, in the reset too. ``c`` stays between -1 and 1, so that a threshold of 1 or more is never reached.

    ``x``, ``y`` [T, ..., N] without unit, ``y`` 0 or at least ``threshold``; ``gate`` between 0 and 1 (kept as its logit), the share that is left after one step,
    ``threshold`` between 0 and 1, both shared or [N]; ``learnable`` makes both parameters; ``surrogate``: ``Triangular(slope=1, scale=0.7)``, the
    authors' dampening factor and support, unless given. Raises ``ValueError`` for a gate or a threshold not between 0 and 1. Source: subramoney2023.
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
        for name, value in (("gate", share), ("threshold", self.threshold)):
            if not ((value > 0) & (value < 1)).all():
                raise ValueError(f"{name} is between 0 and 1, {value.detach().tolist()} was given; its default is a start.")
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
