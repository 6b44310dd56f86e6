"""Kuramoto coupling: oscillators pull each other's phases together, and how far together they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.synapse import check_input, check_size


def order_parameter(theta: Tensor) -> Tensor:
    """Kuramoto's order parameter: how synchronous phases ``theta`` [..., N] (radians) are, [...], from 0 (spread out) to 1 (equal).

    Equation: ``r = |mean_j exp(i theta_j)|``. ``N`` independent phases give about ``1 / sqrt(N)``. Raises ``TypeError`` for what is no
    floating tensor, ``ValueError`` for one without axes. Source: kuramoto1984.
    """
    if not isinstance(theta, Tensor) or not theta.is_floating_point():
        given = f"dtype {theta.dtype}" if isinstance(theta, Tensor) else f"a {type(theta).__name__}"
        raise TypeError(f"order_parameter takes phases [..., N] in radians as a floating tensor, {given} was given; convert it.")
    if theta.ndim == 0:
        raise ValueError("order_parameter takes phases [..., N] in radians, one number was given; give the phases of all oscillators.")
    return torch.hypot(theta.cos().mean(-1), theta.sin().mean(-1))


@SYNAPSES.register(
    cites=("kuramoto1984",),
    tags=("stateless", "recurrent", "phase"),
    off={"coupling": 0.0},
    like=lambda off: torch.zeros_like,
    example={"size": 4},
)
class KuramotoCoupling(nn.Module):
    """Sinusoidal coupling of phases, by all pairs or by their mean.

    Equation: ``y_i = sum_j K_ij sin(theta_j - theta_i)``, computed as ``cos(theta_i) (K sin theta)_i - sin(theta_i) (K cos theta)_i``: two
    matrix products. A number ``K`` is the mean-field model, ``K_ij = K / N``, and takes two means instead. Shifting all phases by as much changes nothing.

    ``x`` = ``theta`` [..., N] in radians -> ``y`` [..., N] in the unit of ``coupling``, radians a second before a ``PhaseOscillator``. ``coupling``: ``K``, a number or [N, N] from
    oscillator ``j`` (column) to ``i`` (row), of any sign; ``learnable`` makes it a parameter. Raises ``ValueError`` for sizes below 1, a coupling of
    another shape or not finite, and inputs of another feature size or device, ``TypeError`` for inputs of another dtype. Source: kuramoto1984.
    """

    coupling: Tensor

    def __init__(self, size: int, coupling: float | Tensor = 1.0, *, learnable: bool = False) -> None:
        super().__init__()
        self.size = self.out_size = check_size(size, "size", "KuramotoCoupling")
        strength = torch.as_tensor(coupling)
        strength = (strength if strength.is_floating_point() else strength.to(torch.get_default_dtype())).detach().clone()
        if strength.shape not in ((), (size, size)):
            raise ValueError(
                f"coupling is one number or [{size}, {size}], shape {list(strength.shape)} was given; rows are the oscillators that are pulled."
            )
        if not strength.isfinite().all():
            raise ValueError(f"coupling is finite, {coupling!r} was given; look for NaN or infinity where it is made.")
        self.coupling = nn.Parameter(strength) if learnable else nn.Buffer(strength)

    def forward(self, x: Tensor) -> Tensor:
        """What phases ``x`` [..., N] do to each other's speed."""
        check_input(x, self.size, -1, "[..., N]", self.coupling, "KuramotoCoupling")
        sin, cos = torch.sin(x), torch.cos(x)
        if self.coupling.ndim == 0:
            return self.coupling * (cos * sin.mean(-1, keepdim=True) - sin * cos.mean(-1, keepdim=True))
        return cos * (sin @ self.coupling.mT) - sin * (cos @ self.coupling.mT)

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        kind = "by the mean" if self.coupling.ndim == 0 else "by all pairs"
        return f"size={self.size}, {kind}"
