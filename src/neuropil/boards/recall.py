"""Recall tasks: what is written, what a memory is asked, and what would be right; and a plain list to compare memories with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuropil.atlas import Seed, Settings
from neuropil.data import k_winners, move_active, sparse_patterns

Rows = list[tuple[Tensor, Tensor]]


class Session(NamedTuple):
    """``written``: pairs of cue and content, in order; ``replaced``: for each, the content that its cue held before (``None``: nothing); ``asked``: pairs of a cue and the right answer.

    ``chain``: how often an answer is the next cue, so that ``asked`` holds a start and [steps, N] right answers; ``marks``: numbers of written pairs after which the first of them are asked (capacity).
    """

    written: Rows
    replaced: list[Tensor | None]
    asked: Rows
    chain: int = 0
    marks: tuple[int, ...] = ()


def _new(written: Rows, asked: Rows, **more: object) -> Session:
    return Session(written, [None] * len(written), asked, **more)  # type: ignore[arg-type]


def _spread(rows: Rows, asked: int) -> Rows:
    """So many of the rows, evenly over the order in which they were written, so that the old are asked as often as the new."""
    return [rows[place] for place in torch.linspace(0, len(rows) - 1, min(asked, len(rows))).round().long().tolist()]


def parts(budget: Settings, seed: Seed) -> Session:
    """Patterns under themselves, asked by half of their active cells."""
    draws = seed.torch("data")
    patterns = sparse_patterns(budget.patterns, budget.cells, budget.active, draws)
    half = k_winners(patterns + torch.rand(patterns.shape, generator=draws), budget.active // 2) * patterns
    return _new([(x, x) for x in patterns], _spread(list(zip(half, patterns, strict=True)), budget.asked))


def astray(budget: Settings, seed: Seed) -> Session:
    """Patterns under themselves, asked with a quarter of their active cells moved to others."""
    draws = seed.torch("data")
    patterns = sparse_patterns(budget.patterns, budget.cells, budget.active, draws)
    moved = move_active(patterns, max(1, budget.active // 4), draws)
    return _new([(x, x) for x in patterns], _spread(list(zip(moved, patterns, strict=True)), budget.asked))


def pairs(budget: Settings, seed: Seed) -> Session:
    """Contents under cues of their own, asked by the cues."""
    draws = seed.torch("data")
    cues, contents = (sparse_patterns(budget.patterns, budget.cells, budget.active, draws) for _ in range(2))
    rows = list(zip(cues, contents, strict=True))
    return _new(rows, _spread(rows, budget.asked))


def copy(budget: Settings, seed: Seed) -> Session:
    """A sequence, each pattern under its position, a bump of ``active`` neighbouring cells that moves on by one cell of a ring a pattern; asked by the positions, in their order."""
    contents = sparse_patterns(budget.cells, budget.cells, budget.active, seed.torch("data"))
    bump = (torch.arange(budget.cells) < budget.active).float()
    rows = [(bump.roll(place), content) for place, content in enumerate(contents)]
    return _new(rows, rows)


def sequence(budget: Settings, seed: Seed) -> Session:
    """A sequence, each pattern the content of the one before, replayed from several places by feeding answers back."""
    x = sparse_patterns(budget.patterns, budget.cells, budget.active, seed.torch("data"))
    starts = torch.linspace(0, budget.patterns - 1 - budget.steps, budget.starts).round().long().tolist()
    asked = [(x[t], x[t + 1 : t + 1 + budget.steps]) for t in starts]
    return _new(list(pairwise(x)), asked, chain=budget.steps)


def overwritten(budget: Settings, seed: Seed) -> Session:
    """Contents under cues of several cells, each replaced once, in another order; asked by the cues for what is held last."""
    draws = seed.torch("data")
    cues = sparse_patterns(budget.patterns, budget.cells, budget.active, draws)
    return _replaced(cues, budget, draws)


def places(budget: Settings, seed: Seed) -> Session:
    """Contents at places, one cell a place, each replaced once, in another order, without a word that it is; asked by the places."""
    session = _replaced(torch.eye(budget.places), budget, seed.torch("data"))
    return session._replace(replaced=[None] * len(session.written))


def _replaced(cues: Tensor, budget: Settings, draws: torch.Generator) -> Session:
    old, new = (sparse_patterns(len(cues), budget.cells, budget.active, draws) for _ in range(2))
    order = torch.randperm(len(cues), generator=draws)
    written = [*zip(cues, old, strict=True), *zip(cues[order], new[order], strict=True)]
    held: list[Tensor | None] = [*[None] * len(cues), *old[order]]
    return Session(written, held, list(zip(cues, new, strict=True))[: budget.asked])


def capacity(budget: Settings, seed: Seed) -> Session:
    """Ever more pairs, asked after each of the numbers in ``marks`` by cues of some of them, drawn at random."""
    draws = seed.torch("data")
    cues, contents = (sparse_patterns(budget.marks[-1], budget.cells, budget.active, draws) for _ in range(2))
    return _new(list(zip(cues, contents, strict=True)), [], marks=tuple(budget.marks))


RECALL: dict[str, Callable[[Settings, Seed], Session]] = {
    "fragments": parts,
    "noise": astray,
    "pairs": pairs,
    "copy": copy,
    "sequence": sequence,
    "overwritten": overwritten,
    "places": places,
    "capacity": capacity,
}


def f1(answers: Tensor, right: Tensor) -> float:
    """The mean over rows of twice what both have over what each has; no answer scores 0."""
    both = (answers * right).sum(-1)
    return float((2 * both / (answers.sum(-1) + right.sum(-1)).clamp(min=1)).mean())


class ListMemory(nn.Module):
    """The last ``length`` pairs as they came, read by the cue that shares most cells with the one that asks, of equals the last.

    A pair under a cue that is there takes its place. A baseline, not a model: no synapse, a search through all that is held.
    """

    class State(NamedTuple):
        """``cues`` [L, K], ``contents`` [L, N], the newest last."""

        cues: Tensor
        contents: Tensor

    def __init__(self, cue_size: int, content_size: int, length: int) -> None:
        super().__init__()
        self.cue_size, self.content_size, self.length = cue_size, content_size, length

    def initial(self) -> State:
        """Nothing held."""
        return self.State(torch.zeros(0, self.cue_size), torch.zeros(0, self.content_size))

    def write(self, s: State, cue: Tensor, content: Tensor) -> State:
        """Append, in place of the same cue or else of the oldest."""
        kept = (s.cues != cue).any(-1)
        return self.State(*(torch.cat((old[kept], new[None]))[-self.length :] for old, new in ((s.cues, cue), (s.contents, content))))

    def recall(self, s: State, cue: Tensor) -> tuple[Tensor, State]:
        """The content of the nearest cue."""
        shared = (s.cues @ cue).flip(0)
        return s.contents[len(shared) - 1 - int(shared.argmax())], s
