"""Dis-inhibitory unit: an excitatory cell and its own interneuron, which feedback must silence to be heard."""

from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.dynamics import Cell, Decay
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))`` without overflow, of operations that the compiler knows."""
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


@CELLS.register(cites=("rossbroich2023",), tags=("leaky", "rate", "inhibitory"), example={"size": 4, "dt": 1e-3})
class DisinhibitoryUnit(Cell):
    """Excitatory rate cell with one inhibitory partner, through which alone top-down feedback reaches it.

    Equation: ``tau_e du_e/dt = -u_e + x - phi(u_i)``, ``tau_i du_i/dt = -u_i + phi(u_e) - feedback``, ``y = phi(u_e)`` with ``phi`` the softplus. Each potential relaxes by its exact exponential over
    a step in which what drives it is held, the excitatory one first. At rest ``y - u_i = feedback``: the difference of the two cells is what the feedback asked for.

    ``x``, ``y`` [T, ..., N]; ``feedback`` is State and stays what it is: 0 unless set, by ``s._replace(feedback=...)``; above 0 it silences the interneuron. ``tau_e``, ``tau_i`` (shared or [N]) and ``dt`` in
    seconds. Raises ``ValueError`` for time constants not above 0, ``dt`` missing or above one of them. Source: rossbroich2023.
    """

    emits = "rate"

    class State(NamedTuple):
        """``u_e``, ``u_i``: potentials of the excitatory and the inhibitory cell; ``feedback``: held input that the interneuron loses. All in the units of the input."""

        u_e: Tensor
        u_i: Tensor
        feedback: Tensor

    def __init__(self, size: int | None = None, *, tau_e: Value = 0.02, tau_i: Value = 0.005, dt: float | None = None) -> None:
        super().__init__(size, dt=dt)
        self.decay_e = Decay(tau_e, dt=dt, size=size, name="tau_e")
        self.decay_i = Decay(tau_i, dt=dt, size=size, name="tau_i")

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        keep_e, keep_i = self.decay_e(), self.decay_i()
        u_e = keep_e * s.u_e + (1 - keep_e) * (x - softplus(s.u_i))
        y = softplus(u_e)
        u_i = keep_i * s.u_i + (1 - keep_i) * (y - s.feedback)
        return self.State(u_e, u_i, s.feedback), y
