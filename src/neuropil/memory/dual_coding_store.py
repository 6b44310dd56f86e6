"""A dual-coding memory as a memory of pairs: the last pairs, a row each, asked by either half."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuropil.memory.dual_coding import DualCodingMemory
from neuropil.memory.protocol import MEMORIES, check_binary, check_cells, check_own, check_sizes


@MEMORIES.register(cites=("hill2021", "ramsauer2021"), tags=("pairs", "auto", "binary"), example={"cue_size": 24, "content_size": 24})
class DualCodingStore(nn.Module):
    """Memory of the last ``rows`` pairs in a ``DualCodingMemory``: cue and content are the two codes of a row, and attention reads either by the other.

    Equation: ``y = sum_r w_r content_r``, ``w = softmax_r(sharpness cue_r . cue)`` over the ``nearest`` likest rows; a cell answers where ``y >= 1/2``. ``recall_cues`` the other way round. Each row is a hidden cell with a synapse from every
    cell of the cue and to every cell of the content: a modern Hopfield network that keeps its patterns apart.

    ``cue`` [..., K], ``content`` and ``fragment`` [..., N] of 0 and 1. State: ``language`` [..., rows, K] holds cues, ``vision`` [..., rows, N] contents, the newest last; rows not yet written, and erased ones, hold 0. A write loses the oldest row. ``rows``:
    by default as many as leave as many synapses as a matrix from cues to contents has, ``K N / (K + N)``. ``sharpness`` 0 or more. Raises ``ValueError`` or ``TypeError`` for sizes and settings that are none and inputs that do not fit.
    Sources: hill2021, ramsauer2021 (the softmax with a sharpness). Differs from the first in a number of rows that is fixed, a sharpness instead of ``1 / sqrt(size)``, and answers of 0 and 1.
    """

    State = DualCodingMemory.State
    synapses: tuple[str, ...] = ("language", "vision")

    def __init__(
        self, cue_size: int, content_size: int, *, rows: int | None = None, nearest: int | None = 8, sharpness: float = 4.0
    ) -> None:
        super().__init__()
        check_sizes(cue_size, content_size, "DualCodingStore")
        if not 0 <= sharpness < float("inf"):
            raise ValueError(f"sharpness of DualCodingStore is 0 or more, {sharpness!r} was given; give for example 4.")
        equal = -(-cue_size * content_size // (cue_size + content_size))
        self.rows = equal if rows is None else check_cells(rows, "rows", "DualCodingStore")
        self.cue_size, self.content_size, self.sharpness = cue_size, content_size, sharpness
        self.store = DualCodingMemory(cue_size, content_size, nearest=nearest)

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> DualCodingMemory.State:
        """Rows of 0."""
        sizes = (self.cue_size, self.content_size)
        return self.State(*(torch.zeros(*leading, self.rows, size, device=device, dtype=dtype) for size in sizes))

    def write(self, s: DualCodingMemory.State, cue: Tensor, content: Tensor) -> DualCodingMemory.State:
        """Append a row in place of the oldest."""
        after = self.store.write(s, self._checked(s, cue, "cue"), self._checked(s, content, "content"))
        return self.State(*(code[..., 1:, :] for code in after))

    def erase(self, s: DualCodingMemory.State, cue: Tensor, content: Tensor | None = None) -> DualCodingMemory.State:
        """Empty the rows of exactly this cue, or those of them that hold ``content``."""
        gone = (s.language == self._checked(s, cue, "cue").unsqueeze(-2)).all(-1, keepdim=True)
        if content is not None:
            gone = gone & (s.vision == self._checked(s, content, "content").unsqueeze(-2)).all(-1, keepdim=True)
        return self.State(*(code * ~gone for code in s))

    def recall(self, s: DualCodingMemory.State, cue: Tensor) -> tuple[Tensor, DualCodingMemory.State]:
        """Return the content of the rows whose cues are likest; the memory is left as it is."""
        cue = self.sharpness * self.cue_size**0.5 * self._checked(s, cue, "cue")
        return (self.store.read(s, cue)[0] >= 0.5).to(cue.dtype), s

    def recall_cues(self, s: DualCodingMemory.State, fragment: Tensor) -> tuple[Tensor, DualCodingMemory.State]:
        """Return the cue of the rows whose contents are likest; the memory is left as it is."""
        fragment = self.sharpness * self.content_size**0.5 * self._checked(s, fragment, "fragment")
        return (self.store.read(s, fragment, by="vision")[0] >= 0.5).to(fragment.dtype), s

    def _checked(self, s: DualCodingMemory.State, given: Tensor, name: str) -> Tensor:
        check_own(s, self)
        return check_binary(given, self.cue_size if name == "cue" else self.content_size, s.language.shape[:-2], name, "DualCodingStore")

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.cue_size}, {self.content_size}, rows={self.rows}, sharpness={self.sharpness}"
