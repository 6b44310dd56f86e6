"""Dis-inhibitory Hebbian plasticity: the inhibition that a cell gets is the threshold between potentiation and depression."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import RULES
from neuropil.plasticity.plastic import along_leading, check_third, current, starting_weight


def inverse_softplus(rate: Tensor) -> Tensor:
    """The potential at which the softplus gives ``rate``: ``log(exp(rate) - 1)``, of any shape; ``rate`` above 0."""
    return rate + torch.log(-torch.expm1(-rate))


def inhibition_threshold(inhibition: Tensor, mean: Tensor, *, slope: float = 1.0) -> Tensor:
    """The postsynaptic rate at which a synapse neither grows nor shrinks, under this much inhibition.

    Equation: ``theta = phi^-1(mean) + slope (inhibition - mean) / phi'(phi^-1(mean))`` with ``phi`` the softplus: the inverse of the interneuron's own nonlinearity, made linear at its mean rate (``slope`` 1), or a constant (0).

    ``inhibition`` [..., M]: rates of the interneurons, at least 0; ``mean``, above 0, broadcasts against it. Returns [..., M]. Source: rossbroich2023.
    """
    return inverse_softplus(mean) + slope * (inhibition - mean) / -torch.expm1(-mean)


@RULES.register(
    cites=("rossbroich2023",),
    tags=("hebbian", "rate", "inhibitory"),
    example={"size": 4, "out_size": 3, "rate": 0.05},
    along={"post": 3, "inhibition": 3},
    off={"rate": 0.0},
    like=lambda off: lambda x: x @ off.weight.mT,
)
class DisinhibitoryHebb(Cell):
    """Hebbian synapses onto cells whose recurrent inhibition sets the sign of plasticity.

    Equation: ``y = w x``; ``dw_mn = rate (post_m - theta_m) (1 - exp(-post_m)) x_n`` with ``theta = inhibition_threshold(inhibition, mean)``: a cell that fires above what its inhibition predicts strengthens its active
    synapses, one below weakens them. ``1 - exp(-post)`` is the slope of the softplus where it gives ``post``.

    ``y, s = synapse.step(x, s, post=..., inhibition=...)``: ``x`` [..., N] -> ``y`` [..., M] with the weights before the change; ``post``, ``inhibition`` [..., M]: rates of the postsynaptic cells and of their
    interneurons (``post=None``: nothing is learned; ``inhibition=None``: none, rates of 0). ``w`` [..., M, N] is State and begins at the parameter ``weight`` [M, N]; ``mean`` above 0, shared or [M]: each interneuron's
    mean rate without feedback; ``slope``: 1, or 0 for a constant threshold; ``rate`` per step. Raises ``ValueError`` for a mean not above 0 and inputs that do not fit. Source: rossbroich2023.
    """

    emits = "output"

    class State(NamedTuple):
        """``w`` [..., M, N]: the weights."""

        w: Tensor

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        rate: Value = 0.01,
        mean: Value = 1.0,
        slope: float = 1.0,
        weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size)
        self.out_size, self.slope = out_size, slope
        self.weight = nn.Parameter(starting_weight(weight, out_size, size, None, generator))
        self.rate = parameter(rate, name="rate")
        self.mean = parameter(mean, size=out_size, positive=True, name="mean")

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Weights at the parameter."""
        return self.State(along_leading(self.weight.to(device=device, dtype=dtype), leading))

    def step(self, x: Tensor, s: Any = None, *, post: Tensor | None = None, inhibition: Tensor | None = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., M]."""
        s = self.ready(x, s)
        y = current(s.w, x, "DisinhibitoryHebb")
        if post is None:
            return y, s
        post = check_third(post, y, "post", y.shape[-1:], "DisinhibitoryHebb")
        heard = (
            torch.zeros_like(post) if inhibition is None else check_third(inhibition, y, "inhibition", y.shape[-1:], "DisinhibitoryHebb")
        )
        error = (post - inhibition_threshold(heard, self.mean, slope=self.slope)) * -torch.expm1(-post)
        return y, self.State(s.w + self.rate * error.unsqueeze(-1) * x.unsqueeze(-2))
