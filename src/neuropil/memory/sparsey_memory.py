"""A Sparsey field as a memory of pairs: a cue gets a sparse code, drawn with less noise the more familiar it is, and the content hangs on the code."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuropil.memory.protocol import MEMORIES, check_binary, check_cells, check_own, check_sizes
from neuropil.memory.sparsey import SparseyField, winners


@MEMORIES.register(
    cites=("rinkus2017",),
    tags=("pairs", "auto", "graded"),
    example={"cue_size": 24, "content_size": 24, "modules": 4, "generator": lambda: torch.Generator().manual_seed(0)},
)
class SparseyMemory(nn.Module):
    """Memory of pairs through the codes of a ``SparseyField``: binary synapses from cue to code, and from code to content.

    Equation: a write draws a winner a module, ``k_q`` with the field's ``p_q`` of the cue, and sets ``w <- max(w, cue code^T)`` and ``d <- max(d, content code^T)``. Read: the winners of ``U`` without noise, in modules that
    anything reaches; ``content_i = sum_q d_i,q,k_q / Q``, the share of modules whose winner calls the cell. Two codes of cues that nothing is known of share ``1 / cells`` of their winners.

    ``cue`` [..., K] and ``content`` [..., N] of 0 and 1 -> answers [..., N] from 0 to 1. State: ``w`` [..., K, Q, C], ``d`` [..., N, Q, C] of 0 and 1, and ``draw`` [..., Q], the numbers in [0, 1) by which the next winners are drawn,
    which a write moves on by a step of its own in each module (a Weyl sequence; steps and start are buffers, uniform, from ``generator``), so that a state decides what becomes of it. ``modules`` Q; ``cells`` C in each, by default as many
    as leave about as many synapses as a matrix from cues to contents has, ``K N / (K + N) / Q``. ``gain`` and ``least`` are the field's; gain 0 draws all cells alike. Raises ``ValueError`` or ``TypeError`` for sizes and settings that are none and inputs that do not fit.
    Source: rinkus2017, by our reading, of which codes are all; synapses back to a content, and one sequence of draws for all memories along leading axes, are ours.
    """

    first: Tensor
    stride: Tensor

    class State(NamedTuple):
        """``w`` [..., K, Q, C] and ``d`` [..., N, Q, C]: synapses, on or off; ``draw`` [..., Q]: where the sequence of draws stands."""

        w: Tensor
        d: Tensor
        draw: Tensor

    synapses: tuple[str, ...] = ("w", "d")

    def __init__(
        self,
        cue_size: int,
        content_size: int,
        *,
        modules: int = 8,
        cells: int | None = None,
        gain: float = 10.0,
        least: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_sizes(cue_size, content_size, "SparseyMemory")
        check_cells(modules, "modules", "SparseyMemory")
        self.cue_size, self.content_size = cue_size, content_size
        equal = cue_size * content_size / (cue_size + content_size) / modules
        self.field = SparseyField(cue_size, modules, max(2, round(equal)) if cells is None else cells, gain=gain, least=least)
        self.register_buffer("first", torch.rand(modules, generator=generator))
        self.register_buffer("stride", torch.rand(modules, generator=generator))

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """All synapses off."""
        draw = self.first.to(device=device, dtype=dtype)
        codes = (self.field.competitive, self.field.cells)
        w, d = (draw.new_zeros(*leading, size, *codes) for size in (self.cue_size, self.content_size))
        return self.State(w, d, draw.expand(*leading, *draw.shape))

    def write(self, s: State, cue: Tensor, content: Tensor) -> State:
        """Give the cue a code, that which it had where it is familiar, and hang ``content`` on it."""
        cue, content = self._cue(s, cue), self._content(s, content)
        u = self._support(s, cue)
        p = self.field.chances(u, self.field.familiarity(u)).cumsum(-1)
        place = (p < (s.draw * p[..., -1]).unsqueeze(-1)).sum(-1).clamp(max=self.field.cells - 1)
        code = nn.functional.one_hot(place, self.field.cells).to(s.w.dtype)
        set_on = code.unsqueeze(-3)
        return self.State(
            torch.maximum(s.w, cue[..., None, None] * set_on),
            torch.maximum(s.d, content[..., None, None] * set_on),
            (s.draw + self.stride.to(s.draw)) % 1,
        )

    def erase(self, s: State, cue: Tensor, content: Tensor | None = None) -> State:
        """Switch off the synapses from the active cells of ``cue`` to its code, and those from the code to ``content`` where it is told; other pairs lose what they share with them."""
        cue = self._cue(s, cue)
        code = self._code(s, cue).unsqueeze(-3)
        d = s.d if content is None else s.d * (1 - self._content(s, content)[..., None, None] * code)
        return self.State(s.w * (1 - cue[..., None, None] * code), d, s.draw)

    def recall(self, s: State, cue: Tensor) -> tuple[Tensor, State]:
        """Return the share of modules whose winner calls each cell; the memory is left as it is."""
        code = self._code(s, self._cue(s, cue))
        return (s.d * code.unsqueeze(-3)).sum((-2, -1)) / self.field.competitive, s

    def _support(self, s: State, cue: Tensor) -> Tensor:
        return self.field.support(SparseyField.State(s.w), cue)

    def _code(self, s: State, cue: Tensor) -> Tensor:
        u = self._support(s, cue)
        return winners(u) * (u > 0)

    def _cue(self, s: State, cue: Tensor) -> Tensor:
        check_own(s, self)
        return check_binary(cue, self.cue_size, s.w.shape[:-3], "cue", "SparseyMemory")

    def _content(self, s: State, content: Tensor) -> Tensor:
        return check_binary(content, self.content_size, s.d.shape[:-3], "content", "SparseyMemory")

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.cue_size}, {self.content_size}, modules={self.field.competitive}, cells={self.field.cells}"
