"""Active dendrites: segments that each detect a few coincident inputs, any of which is enough to activate the cell."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from neuropil.data.sdr import k_winners
from neuropil.dynamics import FastSigmoid, Surrogate
from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.synapse import check_input, check_size


@SYNAPSES.register(
    cites=("ahmad2016",),
    tags=("stateless", "dendrite", "spiking"),
    example={"size": 4, "out_size": 3, "segments": 2, "synapses": 2, "threshold": 1.5},
)
class ActiveDendrites(nn.Module):
    """Cells whose dendritic segments fire, like NMDA spikes, where enough of their synapses are active at once.

    Equation: ``y_m = max_d [sum_n weight_mdn x_n >= threshold]``: the cell is active where any of its segments is. With one segment this is the
    linear threshold unit. A new cell has ``synapses`` of weight 1 on each segment, from cells drawn at random; ``storing`` puts them on patterns.

    ``x`` [..., N] -> ``y`` [..., M] of 0 and 1; ``weight`` [M, D, N]; ``threshold``: active synapses (the paper's range is 8 to 20). Gradients pass by
    ``surrogate`` (``FastSigmoid(1.0)``) and reach the segment with most active synapses.
    How often it errs is known exactly: ``neuropil.geometry.false_match`` and ``missed_match``. Raises ``ValueError`` for sizes below 1, more
    synapses than inputs, a threshold not above 0, inputs of another feature size or device; ``TypeError`` for inputs of another dtype than the
    weights. Source: ahmad2016. Differs from the paper in that weights may be any numbers, and learn.
    """

    emits = "spikes"

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        segments: int,
        synapses: int,
        threshold: float,
        surrogate: Surrogate | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.size, self.out_size = check_size(size, "size", "ActiveDendrites"), check_size(out_size, "out_size", "ActiveDendrites")
        self.segments = check_size(segments, "number of segments", "ActiveDendrites")
        if check_size(synapses, "number of synapses a segment", "ActiveDendrites") > size:
            raise ValueError(f"A segment has at most one synapse from each of {size} inputs, {synapses} was given; give fewer.")
        if not threshold > 0:
            raise ValueError(f"threshold is a number of active synapses above 0, {threshold!r} was given; give for example {synapses}.")
        self.threshold = float(threshold)
        self.surrogate = Surrogate.of(surrogate, FastSigmoid(slope=1.0))
        self.weight = nn.Parameter(k_winners(torch.rand(out_size, segments, size, generator=generator), synapses))

    @classmethod
    def storing(
        cls,
        patterns: Tensor,
        *,
        synapses: int,
        threshold: float,
        surrogate: Surrogate | None = None,
        generator: torch.Generator | None = None,
    ) -> Self:
        """Make cells with a segment for each of ``patterns`` [M, D, N] of 0 and 1, on ``synapses`` of its active inputs, drawn at random.

        A pattern with fewer active inputs gets one synapse from each of them. Raises ``ValueError`` for another number of axes.
        """
        if patterns.ndim != 3:
            raise ValueError(
                f"patterns are [M, D, N], one segment each, {list(patterns.shape)} was given; for one cell give patterns[None]."
            )
        m, d, n = patterns.shape
        cell = cls(n, m, segments=d, synapses=synapses, threshold=threshold, surrogate=surrogate, generator=generator)
        with torch.no_grad():
            order = torch.rand(m, d, n, generator=generator) * (patterns > 0)
            cell.weight.copy_(k_winners(order, synapses) * (patterns > 0))
        return cell

    def overlaps(self, x: Tensor) -> Tensor:
        """Input of every segment: ``x`` [..., N] -> [..., M, D]."""
        check_input(x, self.size, -1, "[..., N]", self.weight, "ActiveDendrites")
        found: Tensor = (x @ self.weight.flatten(0, 1).mT).unflatten(-1, (self.out_size, self.segments))
        return found

    def active_segments(self, x: Tensor) -> Tensor:
        """Which segments fire, 0 or 1: ``x`` [..., N] -> [..., M, D]."""
        fired: Tensor = self.surrogate(self.overlaps(x) - self.threshold)
        return fired

    def forward(self, x: Tensor) -> Tensor:
        """Which cells are active: ``x`` [..., N] -> ``y`` [..., M]."""
        y: Tensor = self.surrogate(self.overlaps(x).amax(dim=-1) - self.threshold)
        return y

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"size={self.size}, out_size={self.out_size}, segments={self.segments}, threshold={self.threshold:g}"
