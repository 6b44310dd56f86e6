"""Gain control in a recurrent circuit: synapses stay, and each cell's gain settles where responses tell of the stimulus and cost little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, parameter
from neuropil.dynamics.parameter import Value, check_dt

Place = Literal["recurrent", "output"]


class GainModulatedCircuit(Cell):
    """Linear rate units with fixed recurrent synapses and one gain each.

    Equation: ``tau dr/dt = -r + x + W (g r)``, stepped by Euler, ``y = r``; with ``place="output"`` what is read is scaled as well, ``y = g r``. For an ``x`` held still ``r`` comes to rest at
    ``(I - W diag(g))^-1 x`` (``steady``), where the spectral radius of ``W diag(g)`` is below 1.

    ``x``, ``y`` [T, ..., N]; ``weight`` [N, N], row i what cell i hears, a buffer; ``gain`` [N], a Parameter that ``adapt_gains`` sets, 1 at first; ``tau``, ``dt`` in seconds, ``dt`` at most ``tau``.
    Raises ``ValueError`` for weights that are not square, an unknown place, or a step above ``tau``. Source: duong2023. Differs from the paper in that only its abstract could be read: where the gain acts is our reading, so both places are given.
    """

    emits = "rate"
    weight: Tensor

    class State(NamedTuple):
        """``r``: rates, in the units of the input."""

        r: Tensor

    def __init__(self, weight: Tensor, *, gain: Value = 1.0, place: Place = "recurrent", tau: float = 0.01, dt: float = 1e-3) -> None:
        if weight.ndim != 2 or weight.shape[0] != weight.shape[1]:
            raise ValueError(f"weight is [N, N], one row a cell, {list(weight.shape)} was given.")
        if place not in get_args(Place):
            raise ValueError(f"place is 'recurrent' or 'output', {place!r} was given.")
        super().__init__(len(weight), dt=dt)
        if not check_dt(dt, "GainModulatedCircuit") <= tau:
            raise ValueError(f"dt is at most tau, {tau:g} s, {dt:g} s was given; take shorter steps.")
        self.weight = nn.Buffer(weight.detach().clone())
        gains = torch.as_tensor(gain, dtype=weight.dtype)
        self.gain = parameter(gains, size=len(weight), learnable=True, per_neuron=True, name="gain")
        self.place, self.tau = place, tau

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., N]."""
        s = self.ready(x, s)
        assert self.dt is not None
        r = s.r + self.dt / self.tau * (x - s.r + (self.gain * s.r) @ self.weight.mT)
        return self.gain * r if self.place == "output" else r, self.State(r)

    def steady(self, x: Tensor) -> Tensor:
        """Where the output rests under a held input: ``x`` [..., N] -> ``y`` [..., N]."""
        eye = torch.eye(len(self.weight), dtype=self.weight.dtype, device=self.weight.device)
        r: Tensor = torch.linalg.solve(eye - self.weight * self.gain, x.reshape(-1, x.shape[-1]).mT).mT.reshape(x.shape)
        return self.gain * r if self.place == "output" else r

    @torch.no_grad()
    def stable(self) -> bool:
        """Say whether rates come to rest: whether the spectral radius of ``W diag(g)`` is below 1."""
        product = self.weight * self.gain
        return bool(product.isfinite().all()) and float(torch.linalg.eigvals(product).abs().max()) < 1


def coding_loss(circuit: GainModulatedCircuit, drive: Tensor, probability: Tensor, *, cost: float, restraint: float) -> Tensor:
    """How badly, and how expensively, a circuit codes the stimuli of one context: what its gains are to minimise.

    Equation: ``L(g) = E |x - D y|^2 + cost E |y|^2 + restraint |g - 1|^2`` with ``D = I - W``, the decoder that is exact at ``g = 1``, ``y`` the steady output and the mean taken over stimuli.

    ``drive`` [S, N]: the input of each stimulus; ``probability`` [S], of sum 1: the context. Returns a number. Raises ``ValueError`` for a probability that is none, or a cost or restraint below 0. Source: duong2023
    (fidelity against activity is the paper's; the squares and the restraint are our reading).
    """
    if probability.shape != drive.shape[:1] or (probability < 0).any() or not torch.isclose(probability.sum(), probability.new_tensor(1.0)):
        raise ValueError(f"probability is one number a stimulus, 0 or more, of sum 1, for {len(drive)} stimuli; divide by the sum.")
    if not (cost >= 0 and restraint >= 0):
        raise ValueError(f"cost and restraint are 0 or more, {cost:g} and {restraint:g} were given.")
    y = circuit.steady(drive)
    error = drive - (y - y @ circuit.weight.mT)
    spent: Tensor = probability @ (error.square() + cost * y.square()).sum(-1)
    return spent + restraint * (circuit.gain - 1).square().sum()


def adapt_gains(circuit: GainModulatedCircuit, objective: Callable[[], Tensor], *, iterations: int = 500) -> Tensor:
    """Set the gains of a circuit to a minimum of ``objective()``, from where they are; returns them, [N].

    Equation: ``g = u^2``, so that no gain falls below 0, and ``u`` by L-BFGS with strong Wolfe steps until the gradient is below 1e-9. Synapses do not change. Best in float64. For example::

        adapt_gains(circuit, lambda: coding_loss(circuit, drive, probability, cost=0.1, restraint=1.0))

    ``objective``: gives a number that depends on ``circuit.gain``. Raises ``ValueError`` where a gain is not above 0 at first, or the circuit is not stable at the end. Source: duong2023, whose own derived gains could not be read: here the minimum is found, not derived.
    """
    if not (circuit.gain > 0).all():
        raise ValueError(f"Gains adapt from above 0, {float(circuit.gain.detach().min()):g} is among them; begin at 1.")
    root = circuit.gain.detach().sqrt().requires_grad_()
    steps = torch.optim.LBFGS(
        [root], max_iter=iterations, tolerance_grad=1e-9, tolerance_change=1e-14, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        with torch.no_grad():
            circuit.gain.copy_(root.square())
        loss = objective()
        (slope,) = torch.autograd.grad(loss, circuit.gain)
        root.grad = slope * 2 * root.detach()
        return float(loss.detach())

    steps.step(closure)
    with torch.no_grad():
        circuit.gain.copy_(root.square())
    if not circuit.stable():
        raise ValueError(
            "These gains leave the circuit without a rest (W diag(g) has a spectral radius of 1 or more); weigh the restraint more."
        )
    return circuit.gain.detach().clone()
