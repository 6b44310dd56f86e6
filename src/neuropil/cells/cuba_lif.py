"""Current-based leaky integrate-and-fire: input charges a synaptic current, the current drives the membrane."""

from typing import NamedTuple

from torch import Tensor

from neuropil.cells.spiking import SpikingCell
from neuropil.dynamics import Decay, Reset, Surrogate
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS
from neuropil.dynamics.reset import Mode


@CELLS.register(cites=("neftci2019",), tags=("leaky", "spiking", "second-order"))
class CubaLIF(SpikingCell):
    """Current-based leaky integrate-and-fire neuron.

    Equation: ``i <- d_s i + x``; ``v <- d_m v + (1 - d_m) i``; then spike and reset of ``v`` as LIF, with ``d = exp(-dt / tau)``. It is
    ``tau_syn di/dt = -i``, ``tau dv/dt = -v + i`` with the current held constant within a step, so errors shrink in proportion to ``dt``;
    a constant ``i`` of 1 draws ``v`` to 1.

    ``x`` [T, ..., N], ``y`` [T, ..., N] spikes; ``v``, ``i`` in units of ``threshold``; ``tau``, ``tau_syn``, ``dt`` in seconds. Raises
    ``ValueError`` for times or threshold not above 0, ``dt`` missing or above either ``tau``. Source: neftci2019. Differs
    from the authors' equations (as in Zenke's tutorial to it), ``v[t+1] = d_m v[t] + i[t] - spike[t]``, ``i[t+1] = d_s i[t] + x[t]``: there
    ``i`` is not scaled by ``1 - d_m``, ``x`` reaches ``v`` two moments later instead of at once, and the reset comes a moment later, without
    decay in that moment. The factor ``1 - d_m`` solves the membrane of gerstner2014, chapter 1, exactly for a current held over the step.
    """

    class State(NamedTuple):
        """``v``: membrane potential; ``i``: synaptic current, both in units of threshold."""

        v: Tensor
        i: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: Value = 0.02,
        tau_syn: Value = 0.005,
        dt: float | None = None,
        threshold: Value = 1.0,
        reset: Reset | Mode = "soft",
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(size, dt=dt, threshold=threshold, reset=reset, surrogate=surrogate)
        self.decay = Decay(tau, dt=dt, size=size)
        self.decay_syn = Decay(tau_syn, dt=dt, size=size, name="tau_syn")

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        decay = self.decay()
        i = self.decay_syn() * s.i + x
        v = decay * s.v + (1 - decay) * i
        spike = self.surrogate(v - self.threshold)
        return self.State(self.reset(v, spike, self.threshold), i), spike
