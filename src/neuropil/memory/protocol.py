"""What a memory of cues and contents can do: be written, be asked by cue, be asked by content."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Memory(Protocol):
    """Pairs of a cue and a content, held in a state that is an argument and a return value.

    ``s = m.initial(B)``; ``s = m.write(s, cue, content)``; ``content, s = m.recall(s, cue)``; ``cues, s = m.recall_cues(s, fragment)``.
    ``cue``, ``cues`` [..., K] and ``content``, ``fragment`` [..., N] hold 0 and 1. Asking returns a state too, since it may change what is held.
    """

    cue_size: int
    content_size: int

    def initial(self, *leading: int) -> Any:
        """Return an empty memory for these leading axes."""

    def write(self, s: Any, cue: Tensor, content: Tensor) -> Any:
        """Hold ``content`` under ``cue``, in place of what was there."""

    def recall(self, s: Any, cue: Tensor) -> tuple[Tensor, Any]:
        """Return the content under ``cue``."""

    def recall_cues(self, s: Any, fragment: Tensor) -> tuple[Tensor, Any]:
        """Return the cues whose content meets ``fragment``."""


def check_binary(given: Tensor, size: int, leading: torch.Size, name: str, memory: str) -> Tensor:
    """Return ``given`` where it holds only 0 and 1 and has the shape [*leading, size]; else raise ``TypeError`` or ``ValueError``."""
    if not isinstance(given, Tensor) or not given.is_floating_point():
        kind = f"a tensor of {given.dtype}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
        raise TypeError(f"{name} of {memory} was {kind}; accepted is a floating tensor of 0 and 1, convert it with .float().")
    if given.shape != (*leading, size):
        raise ValueError(f"{name} of {memory} has the shape {list(given.shape)}; accepted is {[*leading, size]}, as the state has it.")
    if not bool(((given == 0) | (given == 1)).all()):
        raise ValueError(f"{name} of {memory} holds values other than 0 and 1; binarise it first.")
    return given


def check_sizes(cue_size: int, content_size: int, memory: str) -> None:
    """Raise ``ValueError`` unless both sizes are whole numbers of 1 or more."""
    for name, size in (("cue_size", cue_size), ("content_size", content_size)):
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} of {memory} is a number of cells, 1 or more, {size!r} was given; give for example 10.")
