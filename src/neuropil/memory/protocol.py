"""What a memory of cues and contents can do: be written, be asked by cue; some also be asked by content, be erased, say how much they hold."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from neuropil.dynamics.registry import Registry
from neuropil.dynamics.state import leaves

MEMORIES = Registry("memory")
"""Memories by name. Tags: ``auto`` (asked by a part of a content that was written under itself), ``pairs`` (by any cue), ``one-hot`` (by a cue of one cell);
``binary``: its synapses are on or off; ``graded``: its answers are numbers, which the reader cuts. ``example`` makes one of a few dozen cells."""


@runtime_checkable
class Memory(Protocol):
    """Pairs of a cue and a content, held in a state that is an argument and a return value.

    ``s = m.initial(B)``; ``s = m.write(s, cue, content)``; ``content, s = m.recall(s, cue)``. ``cue`` [..., K] and ``content`` [..., N] hold 0 and 1.
    Asking returns a state too, since it may change what is held. A cue may be a place (one cell a place), a key, or the content itself or a part
    of it (``auto``: K = N). ``synapses`` names the fields of the state that are changeable synapses, by which ``memory_cost`` counts.
    What only some can do is told by ``isinstance(m, AskedByContent)``, ``Erasable``, ``Bounded``; none has to inherit from anything.
    """

    cue_size: int
    content_size: int
    synapses: tuple[str, ...]

    def initial(self, *leading: int) -> Any:
        """Return an empty memory for these leading axes."""

    def write(self, s: Any, cue: Tensor, content: Tensor) -> Any:
        """Hold ``content`` under ``cue``."""

    def recall(self, s: Any, cue: Tensor) -> tuple[Tensor, Any]:
        """Return the content under ``cue``."""


@runtime_checkable
class AskedByContent(Protocol):
    """A memory that can be asked the other way: ``cues, s = m.recall_cues(s, fragment)``, ``fragment`` [..., N] of 0 and 1 -> ``cues`` [..., K]."""

    def recall_cues(self, s: Any, fragment: Tensor) -> tuple[Tensor, Any]:
        """Return the cues whose content meets ``fragment``."""


@runtime_checkable
class Erasable(Protocol):
    """A memory that can take back what it holds: ``s = m.erase(s, cue)``, and ``m.erase(s, cue, content)`` where it has to be told what."""

    def erase(self, s: Any, cue: Tensor, content: Tensor | None = None) -> Any:
        """Take away what is held under ``cue``."""


@runtime_checkable
class Bounded(Protocol):
    """A memory that says how much it holds."""

    def capacity(self, cue_active: int, content_active: int, *, wrong: float = 0.01) -> float:
        """Return how many random pairs with so many active cells it holds, until one reading of a clean cue puts ``wrong`` times ``content_active`` cells wrong, by its closed form."""


class MemoryCost(NamedTuple):
    """``synapses``: how many; ``bits``: how many bits one holds, the entropy of the weights that are there; ``state_bytes``: all of the state. Of one memory, not of all in a batch."""

    synapses: int
    bits: float
    state_bytes: int


def memory_cost(memory: Memory, s: Any) -> MemoryCost:
    """Count what a memory takes, as it stands in ``s`` (one memory, or one a leading axis: the mean)."""
    fields = dict(leaves(s))
    copies = max(1, fields[memory.synapses[0]].numel() // dict(leaves(memory.initial()))[memory.synapses[0]].numel())
    weights = torch.cat([fields[name].flatten() for name in memory.synapses])
    _, counts = weights.unique(return_counts=True)
    share = counts.double() / len(weights)
    held = sum(tensor.numel() * tensor.element_size() for tensor in fields.values())
    return MemoryCost(len(weights) // copies, float(-(share * share.log2()).sum()) + 0.0, held // copies)


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


def check_own(s: Any, memory: Any) -> None:
    """Raise ``TypeError`` unless ``s`` is a state of this kind of memory."""
    if not isinstance(s, memory.State):
        name = type(memory).__name__
        raise TypeError(
            f"{name} was given a {type(s).__qualname__} as its state; accepted is its own State, from initial() or the last call."
        )


def check_sizes(cue_size: int, content_size: int, memory: str) -> None:
    """Raise ``ValueError`` unless both sizes are whole numbers of 1 or more."""
    for name, size in (("cue_size", cue_size), ("content_size", content_size)):
        check_cells(size, name, memory)


def check_cells(size: int, name: str, memory: str) -> int:
    """Return a number of cells; raise ``ValueError`` unless it is whole and 1 or more."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"{name} of {memory} is a number of cells, 1 or more, {size!r} was given; give for example 10.")
    return size


def check_asked(cue_active: int, content_active: int, wrong: float, memory: Memory) -> None:
    """Raise ``ValueError`` unless these are numbers of active cells that the memory has, and ``wrong`` is above 0 and below 1."""
    name = type(memory).__name__
    for given, size, what in ((cue_active, memory.cue_size, "cue_active"), (content_active, memory.content_size, "content_active")):
        if check_cells(given, what, f"{name}.capacity") > size:
            raise ValueError(f"{what} of {name}.capacity is {given}, and the memory has {size} cells; give at most as many.")
    if not 0 < wrong < 1 or math.isnan(wrong):
        raise ValueError(
            f"wrong of {name}.capacity is a share of the active cells, between 0 and 1, {wrong!r} was given; give for example 0.01."
        )
