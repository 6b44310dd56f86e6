"""A layer of Kuramoto oscillators on pictures: unit vectors at every place that synchronise through learned couplings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuropil.cells.sphere_oscillator import check_sphere, on_spheres, turned
from neuropil.dynamics import parameter
from neuropil.dynamics.parameter import Value
from neuropil.synapses import Conv


class KuramotoLayer(nn.Module):
    """Oscillators of ``dims`` features at every place of a picture, pulled by a stimulus and by their neighbours through a convolution.

    Equation, ``T`` steps from ``x``: ``x <- normalise(x + gamma (Omega x + u - projection <u, x> x))`` with ``u = c + J x``, group by group of ``dims`` channels
    (``neuropil.cells.SphereOscillator`` has the terms). ``projection = 0`` without ``omega`` is an iterated convolution with normalised groups: same numbers, no Kuramoto dynamics.

    ``layer(c, x)``: stimulus ``c`` and first positions ``x`` [B, C, H, W], of any length and scaled to 1 -> positions [B, C, H, W] after ``steps`` steps (or ``steps=`` others);
    ``layer.path(c, x)``: a list of those after 0, 1, ..., T steps; ``layer.start(c, generator)``: random positions. ``layer.coupling.weight`` [C, C, kernel, kernel] is ``J``, normal with variance ``1 / (C kernel^2)``;
    without a bias, as the stimulus has one. ``omega`` as in the cell, [C / 2].
    Raises as ``SphereOscillator`` and ``Conv`` do, and ``ValueError`` for an even kernel or a negative number of steps. Source: miyato2024 (``J`` as a convolution; their attention is not here).
    """

    omega: Tensor | None

    def __init__(
        self,
        channels: int,
        *,
        dims: int = 4,
        kernel: int = 5,
        steps: int = 8,
        gamma: float = 1.0,
        projection: float = 1.0,
        omega: Value | None = None,
        learnable: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_sphere(channels, dims, gamma, projection, omega is not None)
        if kernel % 2 == 0 or steps < 0:
            raise ValueError(f"A KuramotoLayer has an odd kernel and 0 steps or more, {kernel=} and {steps=} were given.")
        self.dims, self.steps, self.gamma, self.projection = dims, steps, float(gamma), float(projection)
        self.coupling = Conv(channels, channels, kernel, generator=generator)
        self.omega = None if omega is None else parameter(omega, size=channels // 2, learnable=learnable, name="omega")

    def start(self, c: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Positions spread evenly over the spheres, in the shape of ``c``."""
        return on_spheres(torch.randn(c.shape, generator=generator, dtype=c.dtype, device=c.device), self.dims, axis=-3)

    def path(self, c: Tensor, x: Tensor, *, steps: int | None = None) -> list[Tensor]:
        """Positions after 0, 1, ..., T steps."""
        passed = [on_spheres(x, self.dims, axis=-3)]
        for _ in range(self.steps if steps is None else steps):
            force = c + self.coupling(passed[-1])
            passed.append(
                turned(passed[-1], force, dims=self.dims, gamma=self.gamma, projection=self.projection, omega=self.omega, axis=-3)
            )
        return passed

    def forward(self, c: Tensor, x: Tensor, *, steps: int | None = None) -> Tensor:
        """Positions after the last step."""
        return self.path(c, x, steps=steps)[-1]

    def energy(self, c: Tensor, x: Tensor) -> Tensor:
        """Synchrony energy [B] of positions ``x``: ``E = -sum <c, x> - sum <x, J x> / 2``.

        It falls along the path where ``J`` is symmetric, ``omega`` None or 0, ``projection`` 1 and ``gamma`` small. Differs from the authors' code, which adds up ``-<c + J x, x>``.
        """
        each: Tensor = -((c + 0.5 * self.coupling(x)) * x)
        return each.flatten(1).sum(1)

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"dims={self.dims}, steps={self.steps}, gamma={self.gamma:g}, projection={self.projection:g}"
