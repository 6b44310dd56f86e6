"""Josephson junctions joined by inductors: a circuit in which a spike is one quantum of magnetic flux."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, parameter
from neuropil.dynamics.parameter import Value, check_dt

FLUX_QUANTUM = 2.067833848e-15
"""h / 2e, in webers: what the voltage of one spike sums to over time."""
BOLTZMANN = 1.380649e-23
"""In joules a kelvin."""
_REDUCED = FLUX_QUANTUM / (2 * math.pi)


class JosephsonCircuit(Cell):
    """Resistively and capacitively shunted junctions, each from its node to ground, with inductors between nodes.

    Equation, for node i with phase ``p`` and voltage ``v``, and ``f`` the flux quantum over 2 pi::

        dp_i/dt = v_i / f
        capacitance dv_i/dt = x_i - v_i / resistance - critical sin(p_i) - sum_j f (p_i - p_j) / L_ij + thermal current

    stepped by Heun; the thermal current is white, of density ``4 k T / resistance`` (one-sided). A junction whose phase slips by 2 pi sends one flux quantum on: the sum of its voltage over time is ``FLUX_QUANTUM``, exactly.
    In a loop with ``L critical`` well above half a quantum a quantum stays.

    ``y, s = circuit.step(x, s, noise=...)``: bias and signal currents ``x`` [..., N] in amperes, held over the step -> voltages ``y`` [..., N] in volts. ``noise`` [..., N]: standard normal numbers (``None``: no noise). ``critical`` in amperes,
    ``capacitance`` in farads, ``resistance`` in ohms (``None``: critical damping, ``2 pi critical resistance^2 capacitance = FLUX_QUANTUM``), shared or [N]; ``inductors``: (node, node, henries); ``temperature`` in kelvin;
    ``dt`` in seconds, some twentieth of ``f / (critical resistance)`` for pulses to be right to a percent. Phases rest at 0, in radians, not wrapped; float64 is best.
    Raises ``ValueError`` for numbers not above 0, an inductor between a node and itself or nodes that are not there, or a step above half of ``f / (critical resistance)``. Sources: stewart1968; mccumber1968. Serves sfq-neuromorphic2023, whose own cells are not reproduced.
    """

    emits = "voltage"
    stiffness: Tensor

    class State(NamedTuple):
        """``phase`` in radians, not wrapped; ``v``: voltage in volts."""

        phase: Tensor
        v: Tensor

    def __init__(
        self,
        size: int,
        *,
        inductors: Sequence[tuple[int, int, float]] = (),
        critical: Value = 1e-4,
        capacitance: Value = 7e-14,
        resistance: Value | None = None,
        temperature: float = 4.2,
        dt: float = 2e-14,
    ) -> None:
        super().__init__(size, dt=dt)
        self.critical = parameter(critical, size=size, positive=True, name="critical")
        self.capacitance = parameter(capacitance, size=size, positive=True, name="capacitance")
        damped = (_REDUCED / (self.critical * self.capacitance)).sqrt() if resistance is None else resistance
        self.resistance = parameter(damped, size=size, positive=True, name="resistance")
        if not 0 <= temperature < math.inf:
            raise ValueError(f"temperature is in kelvin, 0 or more, {temperature:g} was given.")
        fastest = float((_REDUCED / (self.critical * self.resistance)).min())
        if check_dt(dt, "JosephsonCircuit") > 0.5 * fastest:
            raise ValueError(
                f"dt is at most half of f / (critical resistance), {0.5 * fastest:g} s, {dt:g} s was given; take shorter steps."
            )
        stiffness = torch.zeros(size, size, dtype=self.critical.dtype)
        for a, b, henries in inductors:
            if not (0 <= a < size and 0 <= b < size and a != b and henries > 0):
                raise ValueError(f"An inductor is (node, node, henries) between two of {size} nodes, above 0, {(a, b, henries)} was given.")
            for one, other in ((a, b), (b, a)):
                stiffness[one, one] += _REDUCED / henries
                stiffness[one, other] -= _REDUCED / henries
        self.stiffness = nn.Buffer(stiffness)
        self.temperature = temperature

    def flow(self, phase: Tensor, v: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Time derivatives of phase and voltage without noise, all [..., N]."""
        current = x - v / self.resistance - self.critical * phase.sin() - phase @ self.stiffness.mT
        return v / _REDUCED, current / self.capacitance

    def step(self, x: Tensor, s: Any = None, *, noise: Tensor | None = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., N]."""
        s = self.ready(x, s)
        assert self.dt is not None
        kick = torch.zeros_like(s.v)
        if noise is not None:
            kick = (2 * BOLTZMANN * self.temperature * self.dt / self.resistance).sqrt() / self.capacitance * noise
        turn, rise = self.flow(s.phase, s.v, x)
        turn_after, rise_after = self.flow(s.phase + self.dt * turn, s.v + self.dt * rise + kick, x)
        phase = s.phase + 0.5 * self.dt * (turn + turn_after)
        v = s.v + 0.5 * self.dt * (rise + rise_after) + kick
        return v, self.State(phase, v)
