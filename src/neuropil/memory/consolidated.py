"""Consolidated Hebbian synapses: a trace counts coincidences, and what recurs becomes a binary synapse that stays."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuropil.memory.protocol import MEMORIES, check_binary, check_cells, check_own
from neuropil.memory.settle import check_steps, check_winners, settle


@MEMORIES.register(cites=("coyac2017", "willshaw1969"), tags=("auto", "binary"), example={"size": 24, "winners": 3, "consolidation": 1})
class ConsolidatedHebb(nn.Module):
    """Memory of one recurrent network with binary synapses that are switched on by the ``consolidation``-th coincidence.

    Equation: a write of x (cue) and y (content) takes ``c <- retention c + y x^T`` and ``w <- max(w, [c >= consolidation])``, the diagonals left 0. Read by settling from the
    cue: the ``winners`` cells with the largest ``w x + inertia x`` fire, again and again. What coincides once, as noise does, stays below; what recurs is consolidated and no
    longer fades. ``consolidation=1``: the clipped synapses of ``WillshawMemory``, read by winners.

    ``cue``, ``content`` [..., N] of 0 and 1; ``c``, ``w`` [..., N, N] are State. ``retention`` above 0 to 1; ``inertia`` 0 or more: what a cell's own activity weighs against one
    input. Raises ``ValueError`` or ``TypeError`` for settings that are none and inputs that do not fit. Source: coyac2017, by our reading (trace and threshold are not given in what
    we had, its abstract).
    """

    class State(NamedTuple):
        """``c`` [..., N, N]: traces of coincidences; ``w`` [..., N, N]: synapses, on or off."""

        c: Tensor
        w: Tensor

    synapses: tuple[str, ...] = ("w",)

    def __init__(
        self, size: int, *, winners: int, consolidation: float = 3, retention: float = 1.0, inertia: float = 1.0, steps: int = 20
    ) -> None:
        super().__init__()
        self.cue_size = self.content_size = check_cells(size, "size", "ConsolidatedHebb")
        check_winners(winners, size, "ConsolidatedHebb")
        check_steps(steps, "ConsolidatedHebb")
        if not consolidation > 0:
            raise ValueError(
                f"consolidation of ConsolidatedHebb is a number of coincidences above 0, {consolidation!r} was given; give for example 3."
            )
        if not 0 < retention <= 1:
            raise ValueError(
                f"retention of ConsolidatedHebb is what a write leaves of a trace, above 0 to 1, {retention!r} was given; give 1 for no fading."
            )
        if not inertia >= 0:
            raise ValueError(f"inertia of ConsolidatedHebb is 0 or more, {inertia!r} was given; give 1 for as much as one input.")
        self.winners, self.consolidation, self.retention, self.inertia, self.steps = winners, consolidation, retention, inertia, steps

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """No trace, all synapses off."""
        zeros = torch.zeros(*leading, self.content_size, self.cue_size, device=device, dtype=dtype)
        return self.State(zeros, zeros.clone())

    def write(self, s: State, cue: Tensor, content: Tensor) -> State:
        """Let ``cue`` and ``content`` coincide once; give the same for both to hold a pattern."""
        met = self._checked(s, content, "content").unsqueeze(-1) * self._checked(s, cue, "cue").unsqueeze(-2)
        met.diagonal(dim1=-2, dim2=-1).zero_()
        c = self.retention * s.c + met
        return self.State(c, torch.maximum(s.w, (c >= self.consolidation).to(s.w.dtype)))

    def erase(self, s: State, cue: Tensor, content: Tensor | None = None) -> State:
        """Clear traces and synapses from the active cells of ``cue``, or those to ``content`` alone; other patterns lose what they share with it."""
        gone = self._checked(s, cue, "cue").unsqueeze(-2)
        if content is not None:
            gone = gone * self._checked(s, content, "content").unsqueeze(-1)
        return self.State(s.c * (1 - gone), s.w * (1 - gone))

    def recall(self, s: State, cue: Tensor) -> tuple[Tensor, State]:
        """Settle from ``cue``; the memory is left as it is."""
        x = self._checked(s, cue, "cue")
        return settle(lambda now: (s.w @ now.unsqueeze(-1)).squeeze(-1) + self.inertia * now, x, self.steps, self.winners), s

    def _checked(self, s: State, given: Tensor, name: str) -> Tensor:
        check_own(s, self)
        return check_binary(given, self.cue_size, s.w.shape[:-2], name, "ConsolidatedHebb")

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.cue_size}, winners={self.winners}, consolidation={self.consolidation}"
