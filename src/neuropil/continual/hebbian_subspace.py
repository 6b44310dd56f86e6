"""Hebbian orthogonal projection (HLOP): lateral neurons learn the principal subspace of a layer's inputs and cancel it in the weight update."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neuropil.continual.gradient_projection import Subspace


class HebbianSubspace(Subspace):
    """A lateral circuit that learns the principal subspace of its inputs by Hebbian and anti-Hebbian learning, task by task.

    Equations, for inputs x (presynaptic traces) and all lateral weights H, old and growing: ``y = H x``, ``xhat = H^T y``;
    ``g = clip(mean over the batch of y (x - xhat)^T)``, ``v <- momentum v + (1 - momentum) g``, ``H <- H + rate v`` for the growing rows only,
    ``iterations`` times a batch. Where ``rate |x|^2`` is small this is Oja's subspace rule: H comes to span the leading directions of ``E[x x^T]``
    outside the old rows, and its rows to be orthonormal.

    Use: ``grow(start)`` begins m rows; ``learn(x)`` with every batch of the task, x [..., B, size]; ``consolidate()`` when the task ends: the
    rows grown join ``rows``, which ``project`` takes out of traces or gradients and which no longer change.
    Buffers: ``rows`` [..., M, size], ``growing`` and ``velocity`` [..., m, size].
    Sources: xiao2024, oja1989. Raises ``ValueError`` for a rate or clip not above 0, momentum outside [0, 1), iterations below 1, ``learn``
    before ``grow``, ``grow`` during growth.
    """

    growing: Tensor
    velocity: Tensor

    def __init__(
        self,
        size: int,
        *,
        rate: float = 0.01,
        momentum: float = 0.9,
        clip: float = 10.0,
        iterations: int = 5,
        leading: tuple[int, ...] = (),
    ) -> None:
        super().__init__(size, leading=leading)
        for name, value in (("rate", rate), ("clip", clip)):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"The {name} of a Hebbian subspace is above 0 and finite, {value} was given; try 0.01 and 10.")
        if not 0 <= momentum < 1 or iterations < 1:
            raise ValueError(f"Momentum lies in [0, 1), iterations from 1 up, {momentum} and {iterations} were given; try 0.9 and 5.")
        self.rate, self.momentum, self.clip, self.iterations = rate, momentum, clip, iterations
        self.register_buffer("growing", torch.zeros(*leading, 0, size))
        self.register_buffer("velocity", torch.zeros(*leading, 0, size))

    def grow(self, start: Tensor) -> None:
        """Begin new lateral neurons at the rows start [..., m, size], for instance ``random_rows``."""
        self._fits(start, "rows")
        if self.growing.shape[-2]:
            raise ValueError(f"{self.growing.shape[-2]} rows are growing already; consolidate() them first.")
        self.growing = start.to(self.rows).expand(*self.rows.shape[:-2], *start.shape[-2:]).clone()
        self.velocity = torch.zeros_like(self.growing)

    @torch.no_grad()
    def learn(self, x: Tensor) -> None:
        """Change the growing rows by one batch of inputs x [..., B, size]."""
        self._fits(x, "inputs")
        if not self.growing.shape[-2]:
            raise ValueError("No row is growing; begin some with grow(start).")
        rest = self.project(x)  # the old rows' part of xhat does not change while the new rows learn
        for _ in range(self.iterations):
            y = x @ self.growing.mT
            change = (y.mT @ (rest - y @ self.growing)).div_(x.shape[-2]).clamp_(-self.clip, self.clip)
            self.velocity.mul_(self.momentum).add_(change, alpha=1 - self.momentum)
            self.growing.add_(self.velocity, alpha=self.rate)

    def consolidate(self) -> None:
        """End the task: the rows grown are old rows from here on."""
        self.rows = torch.cat([self.rows, self.growing], dim=-2)
        self.growing, self.velocity = self.growing[..., :0, :], self.velocity[..., :0, :]
