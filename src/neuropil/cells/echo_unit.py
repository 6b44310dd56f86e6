"""Echo-state unit: a rate that is replaced, wholly or in part, by a nonlinear function of its input at every step."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.dynamics import Cell, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


@CELLS.register(cites=("jaeger2001", "jaeger2007"), tags=("leaky", "rate"), example={"size": 4, "leak": 0.3})
class EchoUnit(Cell):
    """Leaky-integrator unit of echo-state networks.

    Equation: ``r <- (1 - leak) r + leak activation(x)``, ``y = r``. With ``leak = 1`` it has no memory of its own.

    ``x``, ``y`` [T, ..., N]; ``leak``: share that is new at each step, above 0 to 1, shared or [N]; ``activation``: pointwise, ``torch.tanh``
    unless given. Raises ``ValueError`` for a leak outside. Sources: jaeger2001; jaeger2007. Differs from ``LeakyRate`` in that what leaks is the output, not the
    potential, and in that its time is counted in steps.
    """

    emits = "rate"

    class State(NamedTuple):
        """``r``: rate."""

        r: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        leak: Value = 1.0,
        activation: Callable[[Tensor], Tensor] = torch.tanh,
        dt: float | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        self.leak = parameter(leak, size=size, positive=True, name="leak")
        if not (self.leak <= 1).all():
            raise ValueError(f"leak is above 0 and at most 1, {leak!r} was given; 1 replaces the rate at every step.")
        self.activation = activation

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        r = (1 - self.leak) * s.r + self.leak * self.activation(x)
        return self.State(r), r
