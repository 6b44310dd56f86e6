"""Josephson junctions joined by inductors and transformers: a circuit in which a spike is one quantum of magnetic flux."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell
from neuropil.dynamics.parameter import Value, check_dt

FLUX_QUANTUM = 2.067833848e-15
"""h / 2e, in webers: what the voltage of one spike sums to over time."""
BOLTZMANN = 1.380649e-23
"""In joules a kelvin."""
_REDUCED = FLUX_QUANTUM / (2 * math.pi)


class JosephsonCircuit(Cell):
    """Resistively and capacitively shunted junctions, each from its node to ground, with inductors between nodes or to ground, and transformers.

    Equation, for nodes with phases ``p`` and voltages ``v``, and ``f`` the flux quantum over 2 pi::

        dp/dt = v / f
        capacitance dv/dt = x - v / resistance - critical sin(p) - A^T L^-1 A f p + thermal current

    with ``A`` [inductors, N] 1 at an inductor's first node, -1 at its second, and ``L`` the inductances, on the diagonal each inductor's own, off it the mutual ones: what a coil does to another it suffers from it. Stepped by
    Heun; the thermal current is white, of density ``4 k T / resistance`` (one-sided). A junction whose phase slips by 2 pi sends one flux quantum on: the sum of its voltage over time is ``FLUX_QUANTUM``, exactly.
    In a loop with ``L critical`` well above half a quantum a quantum stays.

    ``y, s = circuit.step(x, s, noise=...)``: bias and signal currents ``x`` [..., N] in amperes, held over the step -> voltages ``y`` [..., N] in volts. ``noise`` [..., N]: standard normal numbers (``None``: no noise). ``critical`` in amperes,
    ``capacitance`` in farads, ``resistance`` in ohms (``None``: critical damping, ``2 pi critical resistance^2 capacitance = FLUX_QUANTUM``), shared or [N]; ``inductors``: (node, node or None for ground, henries);
    ``mutual``: (inductor, inductor, henries) by their places in that list, negative for a coil wound the other way; ``temperature`` in kelvin;
    ``dt`` in seconds, some twentieth of ``f / (critical resistance)`` for pulses to be right to a percent. Phases rest at 0, in radians, not wrapped; float64 is best.
    R variants of one circuit run side by side, on ``x`` [R, B, N]: junction values [R, 1, N] and henries as tensors [R].
    Raises ``ValueError`` for numbers not above 0, an inductor between a node and itself or nodes that are not there, transformers that would store negative energy, or a step above half of ``f / (critical resistance)``.
    Sources: stewart1968; mccumber1968. Serves sfq-neuromorphic2023, whose own cells are not reproduced.
    """

    emits = "voltage"
    critical: Tensor
    capacitance: Tensor
    resistance: Tensor
    stiffness: Tensor

    class State(NamedTuple):
        """``phase`` in radians, not wrapped; ``v``: voltage in volts."""

        phase: Tensor
        v: Tensor

    def __init__(
        self,
        size: int,
        *,
        inductors: Sequence[tuple[int, int | None, float | Tensor]] = (),
        mutual: Sequence[tuple[int, int, float | Tensor]] = (),
        critical: Value = 1e-4,
        capacitance: Value = 7e-14,
        resistance: Value | None = None,
        temperature: float = 4.2,
        dt: float = 2e-14,
    ) -> None:
        super().__init__(size, dt=dt)
        self.critical = nn.Buffer(_positive(critical, size, "critical"))
        self.capacitance = nn.Buffer(_positive(capacitance, size, "capacitance"))
        damped = (_REDUCED / (self.critical * self.capacitance)).sqrt() if resistance is None else resistance
        self.resistance = nn.Buffer(_positive(damped, size, "resistance"))
        if not 0 <= temperature < math.inf:
            raise ValueError(f"temperature is in kelvin, 0 or more, {temperature:g} was given.")
        fastest = float((_REDUCED / (self.critical * self.resistance)).min())
        if check_dt(dt, "JosephsonCircuit") > 0.5 * fastest:
            raise ValueError(
                f"dt is at most half of f / (critical resistance), {0.5 * fastest:g} s, {dt:g} s was given; take shorter steps."
            )
        self.stiffness = nn.Buffer(_stiffness(size, inductors, mutual, self.critical.dtype))
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

    def transient(
        self, current: Callable[[float], Tensor], moments: int, s: State | None = None, *, generator: torch.Generator | None = None
    ) -> State:
        """Run ``moments`` steps under the currents ``current(seconds)`` [..., N] and keep the last state only; with ``generator`` with thermal noise."""
        assert self.dt is not None
        for moment in range(moments):
            x = current(self.dt * moment)
            noise = None if generator is None else torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
            _, s = self.step(x, s, noise=noise)
        assert s is not None
        return s


def _positive(value: Value, size: int, name: str) -> Tensor:
    """Junction values, shared, [N] or [R, 1, N]."""
    tensor = torch.as_tensor(value, dtype=value.dtype if isinstance(value, Tensor) else None).detach().clone()
    if tensor.ndim and (tensor.shape[-1] != size or (tensor.ndim > 1 and tensor.shape[-2] != 1)):
        raise ValueError(f"{name} is one number, [{size}], or [R, 1, {size}] for variants, shape {list(tensor.shape)} was given.")
    if not (tensor.isfinite() & (tensor > 0)).all():
        raise ValueError(f"{name} is finite and above 0, {value!r} was given.")
    return tensor


def _stiffness(size: int, inductors: Sequence[Any], mutual: Sequence[Any], dtype: torch.dtype) -> Tensor:
    """``f A^T L^-1 A``: the current into each node for each phase, [N, N], or [R, N, N] of variants."""
    ends = torch.zeros(len(inductors), size, dtype=dtype)
    given = [torch.as_tensor(henries, dtype=dtype) for *_, henries in (*inductors, *mutual)]
    shape = torch.broadcast_shapes(*(one.shape for one in given)) if given else ()
    inductance = torch.zeros(*shape, len(inductors), len(inductors), dtype=dtype)
    for k, (a, b, _) in enumerate(inductors):
        if not (0 <= a < size and (b is None or (0 <= b < size and a != b)) and (given[k] > 0).all()):
            raise ValueError(
                f"An inductor is (node, node or None, henries) between two of {size} nodes or to ground, above 0, {inductors[k]} was given."
            )
        ends[k, a] = 1.0
        if b is not None:
            ends[k, b] = -1.0
        inductance[..., k, k] = given[k]
    for place, (i, j, _) in enumerate(mutual, len(inductors)):
        if not (0 <= i < len(inductors) and 0 <= j < len(inductors) and i != j):
            raise ValueError(
                f"A mutual inductance is (inductor, inductor, henries) between two of {len(inductors)} inductors, {mutual[place - len(inductors)]} was given."
            )
        inductance[..., i, j] += given[place]
        inductance[..., j, i] += given[place]
    if len(inductors) and not (torch.linalg.eigvalsh(inductance) > 0).all():
        raise ValueError("Mutual inductances are so large that some currents would store negative energy; give smaller ones.")
    stiffness: Tensor = _REDUCED * ends.mT @ torch.linalg.solve(inductance, ends.expand(*shape, *ends.shape))
    return stiffness
