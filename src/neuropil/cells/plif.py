"""Parametric leaky integrate-and-fire: the membrane time constant is learned."""

from typing import NamedTuple

from torch import Tensor

from neuropil.cells.spiking import SpikingCell
from neuropil.dynamics import Arctan, Decay, Reset, Surrogate
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS
from neuropil.dynamics.reset import Mode


@CELLS.register(cites=("fang2021",), tags=("leaky", "spiking", "learnable"))
class PLIF(SpikingCell):
    """LIF whose time constant is a parameter, one a layer or one a neuron.

    Equation: ``v <- d v + (1 - d) x``, then spike and reset as LIF, with ``d = exp(-dt / tau)`` and ``log tau`` the parameter, so that
    ``tau`` stays positive under any gradient step. ``x`` is a current: constant, it draws ``v`` to ``x`` whatever ``tau``.

    ``x`` [T, ..., N], ``y`` [T, ..., N] spikes; ``v`` in units of ``threshold``; ``tau``, ``dt`` in seconds. Raises ``ValueError`` for ``tau``
    or ``threshold`` not above 0, ``dt`` missing or above ``tau``, ``per_neuron`` without a size. Source: fang2021, whose hard reset is the
    default. Differs from the paper in ``exp(-dt / tau)`` for ``1 - dt / tau``, and in ``log tau`` for the inverse sigmoid of ``dt / tau``.
    """

    class State(NamedTuple):
        """``v``: membrane potential, in units of threshold."""

        v: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: Value = 0.02,
        per_neuron: bool = False,
        dt: float | None = None,
        threshold: Value = 1.0,
        reset: Reset | Mode = "hard",
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(size, dt=dt, threshold=threshold, reset=reset, surrogate=Surrogate.of(surrogate, Arctan()))
        self.decay = Decay(tau, dt=dt, size=size, learnable=True, per_neuron=per_neuron)

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        decay = self.decay()
        v = decay * s.v + (1 - decay) * x
        spike = self.surrogate(v - self.threshold)
        return self.State(self.reset(v, spike, self.threshold)), spike
