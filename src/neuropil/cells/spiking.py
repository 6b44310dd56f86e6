"""What cells that fire at a threshold share: the threshold, the reset and the surrogate gradient."""

from neuropil.dynamics import Cell, FastSigmoid, Reset, Surrogate, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.reset import Mode


class SpikingCell(Cell):
    """Base of the cells that fire where a potential ``v`` reaches a threshold, and are then reset.

    Equation, with the subclass's own ``v``: ``spike = surrogate(v - threshold)``; ``v <- reset(v, spike, threshold)``.

    ``threshold`` in the units of ``v`` (shared or [N]); ``reset``: a ``Reset`` or its mode; ``surrogate``: ``FastSigmoid()`` unless given.
    Raises ``ValueError`` for a threshold not above 0 or an unknown mode, ``TypeError`` for a surrogate that is none. Source: gerstner2014.
    """

    emits = "spikes"

    def __init__(self, size: int | None, *, dt: float | None, threshold: Value, reset: Reset | Mode, surrogate: Surrogate | None) -> None:
        super().__init__(size, dt=dt)
        self.threshold = parameter(threshold, size=size, positive=True, name="threshold")
        self.reset = Reset.of(reset)
        self.surrogate = Surrogate.of(surrogate, FastSigmoid())
