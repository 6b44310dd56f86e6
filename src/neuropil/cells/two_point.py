"""Two-point cell: a pyramidal cell whose apical context modulates what its basal drive passes on."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from neuropil.cells.modulatory_transfer import Transfer, transfer_of
from neuropil.dynamics import Cell, Decay, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


@CELLS.register(
    cites=("kay2020", "two-point-cells-mcc2023", "cooperator-two-point2023"),
    tags=("rate", "dendrite", "modulatory"),
    example={"size": 4, "tau": 0.02, "dt": 1e-3},
    along={"context": 4},
    off={"strength": 0.0},
    like=lambda off: lambda x: x,
)
class TwoPoint(Cell):
    """Two-point cell: basal drive R = ``x``, apical context C, output ``T(R, C)``.

    Equation: ``c <- d c + (1 - d) context``, ``y = T(x, strength c)`` with ``d = exp(-dt / tau)``, or ``d = 0`` (context counts in its own moment alone)
    with ``tau=None``, as in the papers. ``T`` is a function of ``neuropil.cells.modulatory_transfer``, by name or itself.

    ``y, s = cell(x, s, context=...)``: ``x``, ``context`` [T, ..., N] -> ``y`` [T, ..., N]; ``context=None`` is a context of 0. ``strength``, shared or [N]: 0
    leaves ``T(x, 0)``, which is ``x`` for the default ``"kay_phillips"``. ``tau``, ``dt`` in seconds. The weights that make drive and context out of other
    cells' activity are any synapses'. Raises ``ValueError`` for an unknown transfer, a ``tau`` not above 0, ``dt`` missing or above it, a context that does not
    fit ``x``. Source: kay2020, two-point-cells-mcc2023. Differs from the papers in that the context may leak.
    """

    emits = "rate"

    class State(NamedTuple):
        """``c``: apical potential, in the units of the context."""

        c: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        transfer: Transfer | str = "kay_phillips",
        strength: Value = 1.0,
        tau: Value | None = None,
        dt: float | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        self.transfer = transfer_of(transfer)
        self.strength = parameter(strength, size=size, name="strength")
        self.decay = None if tau is None else Decay(tau, dt=dt, size=size)

    def step(self, x: Tensor, s: Any = None, *, context: Tensor | None = None) -> tuple[Tensor, State]:
        """One moment: ``x``, ``context`` [..., N] -> ``y`` [..., N]."""
        s = self.ready(x, s)
        if context is None:
            context = torch.zeros_like(x)
        if context.shape != x.shape:
            raise ValueError(
                f"The context of a two-point cell has the shape of its drive, {list(x.shape)}; {list(context.shape)} was given, match them."
            )
        if self.decay is None:
            c = context
        else:
            decay = self.decay()
            c = decay * s.c + (1 - decay) * context
        return self.transfer(x, self.strength * c), self.State(c)
