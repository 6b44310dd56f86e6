"""Leaky rate unit: the continuous neuron of recurrent rate networks."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.dynamics import Cell, Decay
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


@CELLS.register(cites=("sompolinsky1988", "gerstner2014"), tags=("leaky", "rate"))
class LeakyRate(Cell):
    """Leaky rate unit: a potential that follows its input, read out through a static nonlinearity.

    Equation: ``h <- d h + (1 - d) x``, ``y = activation(h)`` with ``d = exp(-dt / tau)``: exact for ``tau dh/dt = -h + x`` with ``x``
    held over each step.

    ``x``, ``y`` [T, ..., N]; ``h`` in the units of ``x``; ``activation``: pointwise, ``torch.tanh`` unless given; ``tau`` (shared or [N]), ``dt`` in
    seconds; ``learnable`` makes ``tau`` a parameter. Raises ``ValueError`` for ``tau`` not above 0, ``dt`` missing or above ``tau``. Source:
    sompolinsky1988. Differs from LI in the nonlinearity, and in that ``x`` is a current rather than a charge.
    """

    emits = "rate"

    class State(NamedTuple):
        """``h``: potential, in the units of the input."""

        h: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: Value = 0.1,
        dt: float | None = None,
        activation: Callable[[Tensor], Tensor] = torch.tanh,
        learnable: bool = False,
    ) -> None:
        super().__init__(size, dt=dt)
        self.decay = Decay(tau, dt=dt, size=size, learnable=learnable)
        self.activation = activation

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        decay = self.decay()
        h = decay * s.h + (1 - decay) * x
        return self.State(h), self.activation(h)
