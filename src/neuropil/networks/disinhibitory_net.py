"""Layers of dis-inhibitory microcircuits under feedback control: a controller moves the output towards its target through the interneurons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from neuropil.cells import DisinhibitoryUnit


class Rest(NamedTuple):
    """Where a ``DisinhibitoryNet`` rests: potentials ``u_e``, ``u_i`` of each hidden layer [..., B, N], output ``y`` and control ``c`` [..., B, K], and ``residual`` [..., B], the largest ``|tau du/dt|`` left."""

    u_e: list[Tensor]
    u_i: list[Tensor]
    y: Tensor
    c: Tensor
    residual: Tensor


class DisinhibitoryNet(nn.Module):
    """A feedforward net whose hidden units are excitatory cells with one interneuron each, and whose output a leaky PI controller can move.

    Equation: hidden layer l: ``tau_e du_e/dt = -u_e + W_l r_(l-1) + b_l - phi(u_i)``, ``tau_i du_i/dt = -u_i + phi(u_e) - Q_l c``, ``r_l = phi(u_e)``, ``r_0 = x``, ``phi`` the softplus; output ``tau_e dy/dt = -y + W r + c``; control
    ``c = k_p e + k_i z``, ``tau_c dz/dt = e - leak z``, ``e = target - softmax(y)``. Without target the loop is open: ``c = 0``.

    ``net(x)``: the output at rest of the open loop, [..., B, sizes[0]] -> [..., B, sizes[-1]], with gradients (of the implicit function). ``rest`` and ``controlled`` find the rest of the open and the closed loop by Newton's
    method instead of waiting for it; ``run`` lets time pass. Parameters may have a leading axis of replicas, as in ``Replicas(nets).model``; ``x`` then has it too. Weights begin normal with variance 1 / fan_in,
    biases at 0, drawn from ``generator``. Raises ``ValueError`` for fewer than three sizes, sizes below 1 and gains or a leak that are not above 0. Source: rossbroich2023, whose readout has no bias either.
    """

    def __init__(
        self, sizes: Sequence[int], *, k_p: float = 0.2, k_i: float = 0.4, leak: float = 1.0, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if len(sizes) < 3 or min(sizes) < 1:
            raise ValueError(
                f"A DisinhibitoryNet has three sizes or more, from 1 up, {list(sizes)} was given; write for example [784, 64, 10]."
            )
        if not min(k_p, k_i, leak) > 0:
            raise ValueError(f"k_p, k_i and leak are above 0, {k_p:g}, {k_i:g} and {leak:g} were given.")
        self.k_p, self.k_i, self.leak = k_p, k_i, leak
        shapes = list(pairwise(sizes))
        drawn = [torch.randn(m, n, generator=generator) / n**0.5 for n, m in shapes]
        self.weights = nn.ParameterList(drawn)
        self.biases = nn.ParameterList(torch.zeros(m) for _, m in shapes[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Give the output of the open loop at rest."""
        r = x
        for w, b in zip(self._hidden(), self.biases, strict=True):
            r = softplus(_settle(_drive(r, w, b)))
        y: Tensor = r @ self.weights[-1].mT
        return y

    @torch.no_grad()
    def rest(self, x: Tensor) -> Rest:
        """Where the open loop rests under ``x`` [..., B, N]."""
        u_e: list[Tensor] = []
        r = x
        for w, b in zip(self._hidden(), self.biases, strict=True):
            u_e.append(_settle(_drive(r, w, b)))
            r = softplus(u_e[-1])
        silent = x.new_zeros(*x.shape[:-1], self.weights[-1].shape[-2])
        return self._at(x, u_e, silent, [torch.zeros_like(u) for u in u_e], None)

    @torch.no_grad()
    def controlled(self, x: Tensor, target: Tensor, feedback: Sequence[Tensor], start: Rest, *, iterations: int = 12) -> Rest:
        """Where the closed loop rests: ``target`` [..., B, K], shares of the classes; ``feedback``: ``Q`` of each hidden layer [..., B, K, N].

        From ``start``, the open loop's rest, each iteration is a Newton step of every layer and a damped step of the control, small enough for the gain of the whole loop.
        """
        gain, u_e, c = self.k_p + self.k_i / self.leak, list(start.u_e), start.c
        strength = sum(
            (j.flatten(-2).norm(dim=-1) * q.flatten(-2).norm(dim=-1) for j, q in zip(self.jacobians(start), feedback, strict=True)),
            torch.ones_like(start.residual),
        )
        damping = (1 / (1 + gain * strength / 4)).unsqueeze(-1)
        for _ in range(iterations):
            heard = [_heard(q, c) for q in feedback]
            r = x
            for k, (w, b) in enumerate(zip(self._hidden(), self.biases, strict=True)):
                u_e[k] = _newton(u_e[k], _drive(r, w, b), heard[k])
                r = softplus(u_e[k])
            y = r @ self.weights[-1].mT + c
            c = c + damping * (gain * (target - y.softmax(-1)) - c)
        return self._at(x, u_e, c, [_heard(q, c) for q in feedback], target)

    @torch.no_grad()
    def jacobians(self, rest: Rest) -> list[Tensor]:
        """How the output at rest moves with the summed input of each hidden cell, the loops of cell and interneuron included: ``dy_k / da_n``, a tensor [..., B, K, N] a layer."""
        own = [_slopes(u_e, u_i) for u_e, u_i in zip(rest.u_e, rest.u_i, strict=True)]
        return self._back([e / (1 + e * i) for e, i in own])

    @torch.no_grad()
    def authors_feedback(self, rest: Rest) -> list[Tensor]:
        """``Q`` of each hidden layer as the authors set it, [..., B, K, N]: scaled to a Euclidean norm of 1 for each item (0 where no cell of a layer is active).

        Equation: ``Q_l = phi'(u_i) (d phi(u_e) chain from layer l to the output)``, in which cells do not feel their interneurons.
        """
        own = [_slopes(u_e, u_i) for u_e, u_i in zip(rest.u_e, rest.u_i, strict=True)]
        made = [j * i.unsqueeze(-2) for j, (_, i) in zip(self._back([e for e, _ in own]), own, strict=True)]
        return [q / q.flatten(-2).norm(dim=-1).clamp(min=1e-12)[..., None, None] for q in made]

    @torch.no_grad()
    def gradient_feedback(self, rest: Rest) -> list[Tensor]:
        """``Q`` of each hidden layer for which the rule, under weak feedback, is backpropagation exactly: ``(dy / da) / phi'(u_e)``, [..., B, K, N]."""
        return [j / torch.sigmoid(u_e).unsqueeze(-2) for j, u_e in zip(self.jacobians(rest), rest.u_e, strict=True)]

    @torch.no_grad()
    def run(
        self, x: Tensor, target: Tensor, feedback: Sequence[Tensor], start: Rest, *, steps: int, dt: float = 1e-3, tau_c: float = 0.1
    ) -> list[Rest]:
        """Let the closed loop run for ``steps`` of ``dt`` seconds from ``start``; returns what it was after each (``residual`` as measured there)."""
        cell, seen = DisinhibitoryUnit(dt=dt).to(x), []
        states = [cell.State(e, i, torch.zeros_like(e)) for e, i in zip(start.u_e, start.u_i, strict=True)]
        y, z = start.y, torch.zeros_like(start.y)
        keep = torch.exp(-x.new_tensor(dt / 0.02))
        for _ in range(steps):
            e = target - y.softmax(-1)
            c = self.k_p * e + self.k_i * z
            z = z + dt / tau_c * (e - self.leak * z)
            r = x
            for k, (w, b) in enumerate(zip(self._hidden(), self.biases, strict=True)):
                r, states[k] = cell.step(_drive(r, w, b), states[k]._replace(feedback=_heard(feedback[k], c)))
            y = keep * y + (1 - keep) * (r @ self.weights[-1].mT + c)
            u_e, u_i = [s.u_e for s in states], [s.u_i for s in states]
            seen.append(Rest(u_e, u_i, y, c, (e - self.leak * z).abs().amax(-1)))
        return seen

    def _hidden(self) -> list[Tensor]:
        return list(self.weights)[:-1]

    def _back(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """The product of weights and slopes from each hidden layer to the output, [..., B, K, N]."""
        weights = list(self.weights)
        made = [weights[-1].unsqueeze(-3) * slopes[-1].unsqueeze(-2)]
        for w, slope in zip(weights[-2:0:-1], slopes[-2::-1], strict=True):
            later = made[0].flatten(-3, -2) @ w
            made.insert(0, later.unflatten(-2, made[0].shape[-3:-1]) * slope.unsqueeze(-2))
        return made

    def _at(self, x: Tensor, u_e: list[Tensor], c: Tensor, heard: Sequence[Tensor], target: Tensor | None) -> Rest:
        u_i = [softplus(u) - f for u, f in zip(u_e, heard, strict=True)]
        r, left = x, []
        for k, (w, b) in enumerate(zip(self._hidden(), self.biases, strict=True)):
            left.append((_drive(r, w, b) - softplus(u_i[k]) - u_e[k]).abs().amax(-1))
            r = softplus(u_e[k])
        y = r @ self.weights[-1].mT + c
        if target is not None:
            left.append(((self.k_p + self.k_i / self.leak) * (target - y.softmax(-1)) - c).abs().amax(-1))
        return Rest(u_e, u_i, y, c, torch.stack(left).amax(0))


def _drive(r: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return r @ weight.mT + bias.unsqueeze(-2)


def _heard(q: Tensor, c: Tensor) -> Tensor:
    return (c.unsqueeze(-2) @ q).squeeze(-2)


def _slopes(u_e: Tensor, u_i: Tensor) -> tuple[Tensor, Tensor]:
    return torch.sigmoid(u_e), torch.sigmoid(u_i)


def _newton(u: Tensor, drive: Tensor, feedback: Tensor | float) -> Tensor:
    """One step towards ``u = drive - phi(phi(u) - feedback)``."""
    u_i = softplus(u) - feedback
    slope = 1 + torch.sigmoid(u_i) * torch.sigmoid(u)
    return u - (u - drive + softplus(u_i)) / slope


def _settle(drive: Tensor, iterations: int = 6) -> Tensor:
    """The rest ``u = drive - phi(phi(u))``, differentiable: the last Newton step is taken with its slope held."""
    with torch.no_grad():
        u = drive - softplus(softplus(drive))
        for _ in range(iterations):
            u = _newton(u, drive, 0.0)
        u_i = softplus(u)
        slope = 1 + torch.sigmoid(u_i) * torch.sigmoid(u)
        inhibition = softplus(u_i)
    return u - (u - drive + inhibition) / slope
