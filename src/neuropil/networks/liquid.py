"""A liquid: spiking cells on a three-dimensional lattice, wired by distance, whose synapses an astrocyte may organise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell
from neuropil.networks.liquid_kernel import Places, Wires, compiled
from neuropil.plasticity import AstrocyteSTDP

DENSITIES = ((0.2, 0.3), (0.1, 0.05))
"""Probability of a connection at distance 0: rows are excitatory and inhibitory targets, columns excitatory and inhibitory sources."""


def lattice_wiring(
    shape: tuple[int, int, int],
    *,
    inhibitory: int,
    densities: Sequence[Sequence[float]] = DENSITIES,
    reach: float = 3.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw which cells of a lattice are connected, [M, M] of 0 and 1, rows being targets; cells have random places, the last ``inhibitory`` inhibit.

    Equation: ``P(i <- j) = C exp(-(D / reach)^2)`` with ``D`` the distance in lattice steps and ``C`` from ``densities``; no cell is connected to itself. Source: maass2002; constants of ivanov2021.
    """
    size = shape[0] * shape[1] * shape[2]
    places = torch.cartesian_prod(*(torch.arange(float(side)) for side in shape))[torch.randperm(size, generator=generator)]
    kind = (torch.arange(size) >= size - inhibitory).long()
    chance = torch.tensor(densities)[kind.unsqueeze(1), kind] * torch.exp(-((torch.cdist(places, places) / reach) ** 2))
    drawn = (torch.rand(size, size, generator=generator) < chance).to(torch.get_default_dtype())
    return drawn.fill_diagonal_(0.0)


class Run(NamedTuple):
    """What a liquid did: ``counts`` [S, M] of spikes; ``astrocyte`` [S, T]; ``spikes`` [R, T, M] of the first samples; ``weight`` [M, N] at the end."""

    counts: Tensor
    astrocyte: Tensor
    spikes: Tensor
    weight: Tensor


class Liquid(Cell):
    """A liquid state machine's liquid, with synapses that saturate and learn by ``AstrocyteSTDP``.

    Equation, in steps of 1 ms: a cell fires where ``v >= threshold`` and it has not fired in the last ``refractory`` steps, then ``v <- 0``;
    ``v <- v - v / 64 + sum over synapses of w exp(-d / tau) / tau``, with ``d`` the steps since the last presynaptic spike (earlier ones are forgotten) and ``tau`` 1 or 2 ms, drawn for each synapse.

    ``x`` [..., K] input spikes -> ``y`` [..., M] spikes of the cells; ``shape``: cells along each side; ``rule`` has the weights [M, K + M]. Input synapses: a share ``density`` of all, half of them negative. All weights begin with the size ``weight``.
    ``settle`` and ``respond`` run samples event by event on the CPU, with the numbers of ``step``; ``settings`` are those of ``AstrocyteSTDP``. Raises ``ValueError`` for sizes below 1 and as ``AstrocyteSTDP``.
    Source: ivanov2021 and its code. Differs from them in that inputs are spikes (there, cells with a refractory time that fire a step later), and that traces begin at 0 in every sample.
    """

    emits = "spikes"
    tau: Tensor

    class State(NamedTuple):
        """``v``, ``rest`` [..., M]: potential and steps of rest left; ``since`` [..., K + M]: steps since the last spike; ``synapses``: state of the rule."""

        v: Tensor
        rest: Tensor
        since: Tensor
        synapses: Any

    def __init__(
        self,
        shape: tuple[int, int, int],
        inputs: int,
        *,
        density: float = 0.15,
        excitatory: float = 0.8,
        weight: float = 3.0,
        threshold: float = 20.0,
        refractory: int = 2,
        generator: torch.Generator | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(inputs, dt=1e-3)
        size = shape[0] * shape[1] * shape[2]
        inhibitory = size - round(excitatory * size)
        inner = lattice_wiring(shape, inhibitory=inhibitory, generator=generator)
        outer = torch.rand(size, inputs, generator=generator)
        outer = (outer <= outer.flatten().kthvalue(max(round(density * outer.numel()), 1)).values).to(inner)
        signs = torch.where(torch.rand(size, inputs, generator=generator) < 0.5, -1.0, 1.0).to(inner)
        inside = torch.where(torch.arange(size) < size - inhibitory, 1.0, -1.0).to(inner).expand(size, size)
        connected = torch.cat([outer, inner], 1)
        self.out_size, self.threshold, self.refractory = size, threshold, refractory
        self.tau = nn.Buffer(1.0 + (torch.rand(size, inputs + size, generator=generator) < 0.5).to(inner))
        self.rule = AstrocyteSTDP(
            inputs + size,
            size,
            dt=self.dt,
            inputs=inputs,
            inhibitory=inhibitory,
            weight=weight * torch.cat([signs, inside], 1) * connected,
            connected=connected,
            **settings,
        )
        self.requires_grad_(False)

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Cells at rest, no spikes yet."""
        synapses = self.rule.initial(*leading, device=device, dtype=dtype)
        zero = torch.zeros_like(synapses.post)
        return self.State(zero, zero, torch.full_like(synapses.pre, torch.inf), synapses)

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., K] -> ``y`` [..., M]."""
        s = self.ready(x, s)
        y = ((s.v >= self.threshold) & (s.rest <= 0)).to(s.v)
        all_spikes = torch.cat([x, y], -1)
        since = torch.where(all_spikes > 0, 0.0, s.since)
        current = (s.synapses.w * torch.exp(-since.unsqueeze(-2) / self.tau) / self.tau).sum(-1)
        v = (1 - y) * s.v
        _, synapses = self.rule.step(all_spikes, s.synapses, post=y)
        return y, self.State(v + current - v / 64, torch.where(y > 0, float(self.refractory), s.rest - 1), since + 1, synapses)

    def settle(self, spikes: Tensor) -> Run:
        """Run samples ``spikes`` [S, T, K] (u8), each from rest but with the weights that the last one left, and keep these."""
        found = self._run(spikes, keeps=True, plastic=True, recorded=0)
        with torch.no_grad():
            self.rule.weight.copy_(found.weight)
        return found

    def respond(self, spikes: Tensor, *, plastic: bool = True, recorded: int = 0) -> Run:
        """Run samples ``spikes`` [S, T, K] (u8), each from rest and from the same weights, which it leaves as they are; without ``plastic`` they do not change within a sample."""
        return self._run(spikes, keeps=False, plastic=plastic, recorded=recorded)

    def wires(self) -> tuple[Wires, tuple[Tensor, Tensor]]:
        """The synapses as lists, and where each lies in [M, N]."""
        rule, m = self.rule, self.rule.out_size
        n = len(rule.excites)
        pre, post = rule.connected.mT.nonzero(as_tuple=True)
        into, slow = torch.argsort(post, stable=True), (self.tau[post, pre] > 1.5).long()
        start, arrives = (torch.searchsorted(ends, torch.arange(size + 1)) for ends, size in ((pre, n), (post[into], m)))
        found = Wires(
            start=_places(start),
            ends=_places(post + m * slow),
            arrives=_places(arrives),
            into=_places(into),
            begins=_places((pre + n * slow)[into]),
            low=rule.lowest.double().numpy(),
            high=rule.highest.double().numpy(),
            inhibits=(rule.excites < 0.5).numpy(),
        )
        return found, (post, pre)

    @torch.no_grad()
    def _run(self, spikes: Tensor, *, keeps: bool, plastic: bool, recorded: int) -> Run:
        if spikes.dtype != torch.uint8 or spikes.ndim != 3 or spikes.shape[-1] != self.size:
            raise ValueError(f"A Liquid runs samples u8 [S, T, {self.size}] of spikes, {spikes.dtype} {list(spikes.shape)} was given.")
        rule, (wires, place) = self.rule, self.wires()
        weight = rule.weight[place].double().numpy().copy()
        decays = (math.exp(-1.0), math.exp(-0.5))
        learned = (float(each) for each in (rule.decay_trace(), rule.amplitude, rule.potentiation, rule.gain, rule.baseline))
        numbers = (
            1 / 64,
            self.threshold,
            float(self.refractory),
            *decays,
            1.0,
            0.5,
            *learned,
            float(rule.decay.dt / rule.decay.tau),
            rule.fade,
        )
        s, t, _ = spikes.shape
        counts, astrocyte = np.zeros((s, rule.out_size)), np.zeros((s, t))
        seen = np.zeros((min(recorded, s), t, rule.out_size), np.uint8)
        compiled()(spikes.contiguous().numpy(), tuple(wires), weight, keeps, plastic, numbers, counts, astrocyte, seen)
        after = rule.weight.clone()
        after[place] = torch.from_numpy(weight).to(after)
        return Run(torch.from_numpy(counts), torch.from_numpy(astrocyte), torch.from_numpy(seen), after)


def _places(found: Tensor) -> Places:
    return found.numpy().astype(np.uint32)
