"""The neurons of the exchange format as cells: its equations, one step of ``dt`` at a time, in its own variables."""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from neuropil.dynamics import Cell, Decay, FastSigmoid, Reset, Surrogate, parameter
from neuropil.dynamics.parameter import Value, check_dt
from neuropil.dynamics.registry import CELLS
from neuropil.dynamics.reset import Mode

Scheme = Literal["exact", "euler"]


def check_scheme(scheme: str) -> Scheme:
    """Give ``scheme`` back; raises ``ValueError`` unless it is ``"exact"`` or ``"euler"``."""
    if scheme not in get_args(Scheme):
        raise ValueError(f"scheme is 'exact' or 'euler', {scheme!r} was given; snnTorch, Norse and SpikingJelly step by 'euler'.")
    return scheme  # type: ignore[return-value]


@CELLS.register(cites=("pedersen2024",), tags=("leaky", "spiking", "exchange"), example={"size": 4, "v_threshold": 1.0, "dt": 1e-3})
class Membrane(Cell):
    """A membrane with all the numbers that NIR gives it: its ``LI`` and ``LIF``, and without ``tau`` its ``I`` and ``IF``.

    Equation: ``tau dv/dt = (v_leak - v) + r x``, so ``v <- v + a (v_leak - v + r x)`` with ``a = 1 - exp(-dt / tau)``, exact for ``x`` held over
    each step, or ``a = dt / tau`` (``scheme="euler"``); without ``tau`` ``dv/dt = r x``, so ``v <- v + dt r x``. With a threshold ``spike = 1 if v >= v_threshold`` at the end of the step,
    ``v <- v_reset`` (hard) or ``v <- v - (v_threshold - v_reset)`` (soft), ``y = spike``; without one ``y = v``.

    ``x``, ``y`` [T, ..., N]; ``v`` begins at ``v_leak`` (0 without ``tau``); ``tau``, ``dt`` in seconds, ``r`` in units of ``v`` per unit of ``x`` (and second,
    without ``tau``); all but ``dt`` shared or [N]. Raises ``ValueError`` for ``tau`` not above 0, ``dt`` missing or above ``tau``, numbers not finite.
    Source: pedersen2024. Differs from the paper in steps for continuous time, and in that ``v = v_threshold`` is a spike.
    """

    class State(NamedTuple):
        """``v``: membrane potential."""

        v: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: Value | None = 0.02,
        r: Value = 1.0,
        v_leak: Value = 0.0,
        v_threshold: Value | None = None,
        v_reset: Value = 0.0,
        dt: float | None = None,
        scheme: Scheme = "exact",
        reset: Reset | Mode = "hard",
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        self.step_length, self.scheme = check_dt(dt, type(self).__name__), check_scheme(scheme)
        self.decay = None if tau is None else Decay(tau, dt=dt, size=size)
        self.r, self.v_leak, self.v_reset = (
            parameter(value, size=size, name=name) for name, value in (("r", r), ("v_leak", v_leak), ("v_reset", v_reset))
        )
        self.v_threshold = None if v_threshold is None else parameter(v_threshold, size=size, name="v_threshold")
        self.reset = Reset.of(reset)
        self.surrogate = Surrogate.of(surrogate, FastSigmoid())
        self.emits = "potential" if v_threshold is None else "spikes"

    def resting(self) -> dict[str, Tensor | float]:
        """Begins at ``v_leak``, integrators at 0."""
        return {} if self.decay is None else {"v": self.v_leak}

    def share(self, decay: Decay) -> Tensor:
        """How much of the way to its target a relaxation goes in one step."""
        steps = self.step_length * torch.exp(-decay.log_tau)
        return -torch.expm1(-steps) if self.scheme == "exact" else steps

    def charge(self, v: Tensor, current: Tensor) -> Tensor:
        """The potential after a step in which ``current`` was held."""
        if self.decay is None:
            return v + self.step_length * self.r * current
        return v + self.share(self.decay) * (self.v_leak - v + self.r * current)

    def fire(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """The potential after the reset, and the output."""
        if self.v_threshold is None:
            return v, v
        spike = self.surrogate(v - self.v_threshold)
        passed = spike.detach() if self.reset.detach else spike
        if self.reset.mode == "none":
            return v, spike
        return v - passed * ((self.v_threshold if self.reset.mode == "soft" else v) - self.v_reset), spike

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:
        """One moment."""
        v, y = self.fire(self.charge(s.v, x))
        return self.State(v), y


@CELLS.register(
    cites=("pedersen2024",),
    tags=("leaky", "spiking", "second-order", "exchange"),
    example={"size": 4, "v_threshold": 1.0, "dt": 1e-3},
)
class CubaMembrane(Membrane):
    """A membrane behind a synaptic current, with all the numbers that NIR gives it: its ``CubaLI`` and ``CubaLIF``.

    Equation: ``tau_syn di/dt = -i + w_in x``, so ``i <- i + a_s (w_in x - i)``; then ``Membrane`` driven by the new ``i``, held over the step:
    errors shrink in proportion to ``dt``.

    ``x``, ``y`` [T, ..., N]; ``i`` begins at 0; ``tau``, ``tau_syn``, ``dt`` in seconds; all but ``dt`` shared or [N]. Raises ``ValueError`` as ``Membrane``, and
    for ``tau_syn`` not above 0 or below ``dt``. Source: pedersen2024. Differs from the paper as ``Membrane`` does.
    """

    class State(NamedTuple):
        """``v``: membrane potential; ``i``: synaptic current."""

        v: Tensor
        i: Tensor

    def __init__(
        self,
        size: int | None = None,
        *,
        tau: Value = 0.02,
        tau_syn: Value = 0.005,
        r: Value = 1.0,
        v_leak: Value = 0.0,
        w_in: Value = 1.0,
        v_threshold: Value | None = None,
        v_reset: Value = 0.0,
        dt: float | None = None,
        scheme: Scheme = "exact",
        reset: Reset | Mode = "hard",
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(
            size,
            tau=tau,
            r=r,
            v_leak=v_leak,
            v_threshold=v_threshold,
            v_reset=v_reset,
            dt=dt,
            scheme=scheme,
            reset=reset,
            surrogate=surrogate,
        )
        self.decay_syn = Decay(tau_syn, dt=dt, size=size, name="tau_syn")
        self.w_in = parameter(w_in, size=size, name="w_in")

    def update(self, s: State, x: Tensor) -> tuple[State, Tensor]:  # type: ignore[override]
        """One moment."""
        i = s.i + self.share(self.decay_syn) * (self.w_in * x - s.i)
        v, y = self.fire(self.charge(s.v, i))
        return self.State(v, i), y
