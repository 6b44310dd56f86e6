"""The binary matrix of Willshaw: clipped Hebbian synapses between cues and contents, read by counting."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuropil.memory.protocol import MEMORIES, check_asked, check_binary, check_own, check_sizes


@MEMORIES.register(cites=("willshaw1969",), tags=("pairs", "auto", "binary"), example={"cue_size": 24, "content_size": 24})
class WillshawMemory(nn.Module):
    """Associative memory of binary synapses that are switched on where cue and content were active together.

    Equation: ``w <- max(w, content cue^T)``; read from the cue, ``content = [w cue >= threshold]``; from a content, ``cues = [w^T fragment >=
    threshold]``, with at least one input needed. ``clear``: what the active cues held is switched off before writing, so that a cue is overwritten.
    With random cues and contents of a and b active cells of K and N, M pairs leave a share ``1 - (1 - a b / (K N))^M`` of synapses on.

    ``s`` holds ``w`` [..., N, K] of 0 and 1: it stands for a synapse in either direction, which clipped Hebbian writing sets alike.
    ``cue`` [..., K], ``content``, ``fragment`` [..., N] of 0 and 1; ``threshold`` a number of active inputs, or ``"all"``: as many as
    there are (the classical reading of uncorrupted keys). Raises ``ValueError`` or ``TypeError`` for sizes or thresholds below 1, inputs that do not fit.
    Source: willshaw1969. Differs in ``clear`` and in the free threshold.
    """

    class State(NamedTuple):
        """``w`` [..., N, K]: synapses, on or off."""

        w: Tensor

    synapses: tuple[str, ...] = ("w",)

    def __init__(self, cue_size: int, content_size: int, *, threshold: float | str = "all", clear: bool = False) -> None:
        super().__init__()
        check_sizes(cue_size, content_size, "WillshawMemory")
        if threshold != "all" and (isinstance(threshold, str) or not 1 <= threshold < math.inf):
            raise ValueError(
                f"threshold of WillshawMemory is a number of inputs, 1 or more, or 'all', {threshold!r} was given; give for example 1."
            )
        self.cue_size, self.content_size = cue_size, content_size
        self.threshold, self.clear = threshold, clear

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """All synapses off."""
        return self.State(torch.zeros(*leading, self.content_size, self.cue_size, device=device, dtype=dtype))

    def write(self, s: State, cue: Tensor, content: Tensor) -> State:
        """Switch on the synapses between active cells, after clearing what the active cues held where ``clear`` says so."""
        cue, content = self._cue(s, cue).unsqueeze(-2), self._content(s, content, "content").unsqueeze(-1)
        return self.State(torch.maximum(s.w * (1 - cue) if self.clear else s.w, content * cue))

    def erase(self, s: State, cue: Tensor, content: Tensor | None = None) -> State:
        """Switch off all synapses of the active cells of ``cue``, or those to ``content`` alone; other pairs lose what they share with it."""
        gone = self._cue(s, cue).unsqueeze(-2)
        if content is not None:
            gone = gone * self._content(s, content, "content").unsqueeze(-1)
        return self.State(s.w * (1 - gone))

    def recall(self, s: State, cue: Tensor) -> tuple[Tensor, State]:
        """Return the content under ``cue``; the memory is left as it is."""
        cue = self._cue(s, cue)
        return self._read(s.w, cue), s

    def recall_cues(self, s: State, fragment: Tensor) -> tuple[Tensor, State]:
        """Return the cues of ``fragment``; the memory is left as it is."""
        fragment = self._content(s, fragment, "fragment")
        return self._read(s.w.mT, fragment), s

    def capacity(self, cue_active: int, content_active: int, *, wrong: float = 0.01) -> float:
        """Give how many random pairs it holds: at ``p`` synapses on, ``N - b`` cells answer falsely with ``p^a`` each, taken as independent (willshaw1969)."""
        check_asked(cue_active, content_active, wrong, self)
        others = self.content_size - content_active
        load = min((wrong * content_active / others) ** (1 / cue_active), 1.0) if others else 1.0
        each = cue_active * content_active / (self.cue_size * self.content_size)
        return math.inf if load == 1 or each == 1 else math.log1p(-load) / math.log1p(-each)

    def _cue(self, s: State, cue: Tensor) -> Tensor:
        check_own(s, self)
        return check_binary(cue, self.cue_size, s.w.shape[:-2], "cue", "WillshawMemory")

    def _content(self, s: State, content: Tensor, name: str) -> Tensor:
        check_own(s, self)
        return check_binary(content, self.content_size, s.w.shape[:-2], name, "WillshawMemory")

    def _read(self, w: Tensor, x: Tensor) -> Tensor:
        found = (w @ x.unsqueeze(-1)).squeeze(-1)
        if isinstance(self.threshold, str):
            return (found >= x.sum(dim=-1, keepdim=True).clamp(min=1)).to(w.dtype)
        return (found >= self.threshold).to(w.dtype)
