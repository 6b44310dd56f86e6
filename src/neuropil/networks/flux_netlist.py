"""Netlists of single-flux-quantum circuits: transmission lines, storage loops and threshold neurons, joined by transformers."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.networks.josephson_circuit import FLUX_QUANTUM, JosephsonCircuit

CRITICAL = 1e-4
"""Amperes: the unit of critical currents and biases."""
CAPACITANCE = 7e-14
"""Farads of a junction of one unit of critical current; capacitances are in proportion."""
PICOHENRY = 1e-12


class Loop(NamedTuple):
    """Two junctions, ``first`` and ``second``, and the inductor ``coil`` that joins them."""

    first: int
    second: int
    coil: int


class Store(NamedTuple):
    """A junction, and the inductor ``coil`` from it to ground that keeps the flux quanta it passed."""

    junction: int
    coil: int


class FluxNetlist:
    """Lists junctions, inductors and transformers, and makes a ``JosephsonCircuit`` of them.

    Values are numbers, or tensors [R] of R variants that run side by side: critical currents in units of ``CRITICAL`` (100 microampere), biases as shares of the critical current,
    inductances in picohenries, couplings as coefficients ``k``, ``M = k sqrt(L_i L_j)``, negative for the opposite winding.

    A spike is a phase slip of 2 pi. ``line``: each junction pushes the next over. ``store``: the quantum that its junction passed stays in a loop to ground and drives the current ``FLUX_QUANTUM / L`` through its coil, which a transformer takes
    to others: a synapse, with ``k`` as its weight, of either sign, and no way back but the same mutual inductance. ``loop``: a neuron; the flux through its coil and the biases decide whether its second junction slips. With ``L critical`` below half a quantum
    it answers flux periodically. After sfq-neuromorphic2023, whose own cells are not reproduced.
    """

    def __init__(self) -> None:
        self.critical: list[Tensor] = []
        self.bias: list[Tensor] = []
        self.inductors: list[tuple[int, int | None, Tensor]] = []
        self.couplings: list[tuple[int, int, Tensor]] = []

    def junction(self, *, critical: float | Tensor = 1.0, bias: float | Tensor = 0.7) -> int:
        """Add a junction from a new node to ground, fed ``bias`` of its critical current; give its number."""
        unit = torch.as_tensor(critical, dtype=torch.float64)
        self.critical.append(CRITICAL * unit)
        self.bias.append(CRITICAL * unit * torch.as_tensor(bias, dtype=torch.float64))
        return len(self.critical) - 1

    def inductor(self, a: int, b: int | None, picohenries: float | Tensor) -> int:
        """Join two nodes, or a node and ground; give the inductor's number."""
        self.inductors.append((a, b, PICOHENRY * torch.as_tensor(picohenries, dtype=torch.float64)))
        return len(self.inductors) - 1

    def couple(self, i: int, j: int, k: float | Tensor) -> None:
        """Wind two inductors on one another."""
        size = (self.inductors[i][2] * self.inductors[j][2]).sqrt()
        self.couplings.append((i, j, torch.as_tensor(k, dtype=torch.float64) * size))

    def line(self, start: int, stages: int, *, bias: float | Tensor = 0.7, picohenries: float = 8.0) -> int:
        """Add a Josephson transmission line of ``stages`` junctions behind ``start``; give the last one's number."""
        for _ in range(stages):
            after = self.junction(bias=bias)
            self.inductor(start, after, picohenries)
            start = after
        return start

    def store(self, start: int, *, picohenries: float = 30.0, critical: float = 1.0) -> Store:
        """Add behind ``start`` a junction that keeps its quanta in a coil to ground."""
        own = self.junction(critical=critical)
        self.inductor(start, own, 8.0)
        return Store(own, self.inductor(own, None, picohenries))

    def loop(self, picohenries: float | Tensor, *, first: float | Tensor, second: float | Tensor) -> Loop:
        """Add two junctions with these biases, joined by a coil."""
        a, b = self.junction(bias=first), self.junction(bias=second)
        return Loop(a, b, self.inductor(a, b, picohenries))

    def circuit(
        self, *, dt: float, spread: float = 0.0, draws: int = 0, temperature: float = 4.2, generator: torch.Generator | None = None
    ) -> tuple[JosephsonCircuit, Tensor]:
        """Make the circuit, and its bias currents [N], or [R, 1, N] of variants, in amperes.

        With ``draws`` that many variants of one circuit, every critical current and inductance changed by independent normal factors of standard deviation ``spread`` (cut at three), shunts, capacitances and biases not.
        """
        critical, bias = (torch.stack(torch.broadcast_tensors(*each), -1) for each in (self.critical, self.bias))
        henries = [own for *_, own in self.inductors]
        capacitance = CAPACITANCE / CRITICAL * critical
        resistance = (FLUX_QUANTUM / (2 * math.pi * critical * capacitance)).sqrt()
        mutual = [(i, j, own) for i, j, own in self.couplings]
        if draws:
            factors = 1 + spread * torch.randn(draws, critical.shape[-1] + len(henries), generator=generator, dtype=torch.float64).clamp(
                -3, 3
            )
            critical, bias = critical * factors[:, : critical.shape[-1]], bias.expand(draws, -1)
            change = factors[:, critical.shape[-1] :].unbind(1)
            henries = [own * factor for own, factor in zip(henries, change, strict=True)]
            mutual = [(i, j, own * (change[i] * change[j]).sqrt()) for i, j, own in self.couplings]
        made = JosephsonCircuit(
            critical.shape[-1],
            critical=_rows(critical),
            capacitance=_rows(capacitance),
            resistance=_rows(resistance),
            inductors=[(a, b, own) for (a, b, _), own in zip(self.inductors, henries, strict=True)],
            mutual=mutual,
            temperature=temperature,
            dt=dt,
        )
        return made, _rows(bias)


def _rows(values: Tensor) -> Tensor:
    """[N] as it is, [R, N] as [R, 1, N]."""
    return values.unsqueeze(1) if values.ndim == 2 else values
