"""A Sparsey field: sparse codes chosen with less noise the more familiar an input is, and binary synapses set in one trial."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuropil.memory.protocol import check_cells


class SparseyField(nn.Module):
    """Winner-take-all modules of binary cells; a code is one winner a module, drawn anew for what is new and reinstated for what is known.

    Equation: ``U_qk = sum_j w_jqk x_j / sum_j x_j``; familiarity ``G = mean_q max_k U_qk``; ``eta = 1 + K gain (max(0, G - least) / (1 - least))^power``; ``psi = 1 + (eta - 1) sigmoid(slope (U - centre))``;
    a winner of module q is drawn with ``p_qk = psi_qk / sum_k psi_qk``; storing sets the synapses of active inputs to the winners to 1. At G = 0 (or below ``least``) all cells are as likely, so that codes share ``1 / K`` of their winners;
    at G = 1 the known winner has ``p = psi(1) / (psi(1) + (K - 1) psi(0))``. ``power=0``: a gain that does not depend on familiarity.

    ``x`` [..., N] of 0 and 1, codes [..., Q, K] of 0 and 1, ``w`` [..., N, Q, K] is State; leading axes are separate fields. ``retrieve``: the cells with the largest U, of equals the first.
    Raises ``ValueError`` for sizes and settings that do not fit. Source: rinkus2017, by our reading of the equations; one field, without time and without a hierarchy.
    """

    class State(NamedTuple):
        """``w`` [..., N, Q, K]: synapses, on or off."""

        w: Tensor

    def __init__(
        self,
        inputs: int,
        modules: int,
        cells: int,
        *,
        gain: float = 10.0,
        least: float = 0.0,
        power: float = 1.0,
        slope: float = 20.0,
        centre: float = 0.5,
    ) -> None:
        super().__init__()
        self.inputs = check_cells(inputs, "inputs", "SparseyField")
        self.competitive = check_cells(modules, "modules", "SparseyField")
        self.cells = check_cells(cells, "cells", "SparseyField")
        if gain < 0 or power < 0 or slope < 0 or not 0 <= least < 1:
            raise ValueError(
                f"gain, power and slope of SparseyField are 0 or more and least is from 0 to below 1; {gain}, {power}, {slope} and {least} were given."
            )
        self.gain, self.least, self.power, self.slope, self.centre = gain, least, power, slope, centre

    def initial(self, *leading: int) -> State:
        """All synapses off."""
        return self.State(torch.zeros(*leading, self.inputs, self.competitive, self.cells))

    def support(self, s: State, x: Tensor) -> Tensor:
        """The share of the active inputs that reach each cell, ``U`` [..., Q, K]."""
        if x.shape[-1] != self.inputs:
            raise ValueError(f"x of SparseyField is [..., {self.inputs}], {list(x.shape)} was given.")
        reached: Tensor = (x.unsqueeze(-2) @ s.w.flatten(-2)).squeeze(-2).unflatten(-1, (self.competitive, self.cells))
        return reached / x.sum(-1).clamp(min=1)[..., None, None]

    def familiarity(self, u: Tensor) -> Tensor:
        """``G`` [...] of supports [..., Q, K]: from 0 (nothing known) to 1 (all inputs were stored together)."""
        return u.amax(-1).mean(-1)

    def chances(self, u: Tensor, g: Tensor) -> Tensor:
        """The probability of each cell to win its module, [..., Q, K], at supports u [..., Q, K] and familiarity g [...]."""
        eta = 1 + self.cells * self.gain * ((g - self.least).clamp(min=0) / (1 - self.least)) ** self.power
        psi = 1 + (eta[..., None, None] - 1) * torch.sigmoid(self.slope * (u - self.centre))
        return psi / psi.sum(-1, keepdim=True)

    def store(self, s: State, x: Tensor, code: Tensor) -> State:
        """Set the synapses from the active inputs of x [..., N] to the winners of code [..., Q, K]."""
        return self.State(torch.maximum(s.w, x[..., None, None] * code.unsqueeze(-3)))

    def retrieve(self, s: State, x: Tensor) -> Tensor:
        """The code [..., Q, K] that x reinstates without noise."""
        return winners(self.support(s, x))


def winners(u: Tensor) -> Tensor:
    """The largest of the last axis as 1, the others 0, of equals the first."""
    return nn.functional.one_hot(u.argmax(-1), u.shape[-1]).to(u.dtype)


def drawn_winners(p: Tensor, generator: torch.Generator) -> Tensor:
    """One winner of the last axis for each row of probabilities: [..., K] -> [..., K] of 0 and 1."""
    draw = torch.rand(p.shape[:-1], generator=generator).unsqueeze(-1)
    place = (p.cumsum(-1) < draw * p.sum(-1, keepdim=True)).sum(-1).clamp(max=p.shape[-1] - 1)
    return nn.functional.one_hot(place, p.shape[-1]).to(p.dtype)
