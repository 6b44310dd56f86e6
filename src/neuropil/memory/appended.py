"""An append-only memory: a row a moment, never changed, read by content and by how long ago it was written."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from neuropil.memory.neural_turing_machine import START, likeness
from neuropil.memory.protocol import check_cells, check_own


class AppendedMemory(nn.Module):
    """A memory that writes each moment's row behind the last and reads by attention over rows and lags; what steers it may be any network.

    Equation, for a head and the row ``M_k`` of ``k`` moments ago, ``k`` from 1: ``w = softmax_k(strength cos(key, M_k) + lag_k)``, ``r = sum_k w_k M_k``; then ``add`` becomes row 1 and the oldest row is lost. ``strength`` 0 is attention by lag alone, all ``lag_k`` alike
    attention by content alone. It is what a window of attention does whose score has a part for the content and one for the relative position, both given by the moment that asks.

    ``read, s = memory.step(asked, s)``: ``asked`` [..., memory.asked], numbers of any size that a controller gives: keys and the row by tanh, strengths by softplus, scores of lags as they are; ``read`` [..., reads W]. ``s = memory.initial(*leading)``:
    rows ``START``. ``contents`` [..., N, W], newest row first, is State; nothing is learned here.

    ``places`` N, ``width`` W, ``reads`` number of heads. Raises ``ValueError`` or ``TypeError`` for sizes that are none and inputs that do not fit. Sources: dai2019 for scores of relative positions, weston2015 for a memory that is only added to.
    Differs from both in cosines for products, rows that are written whole instead of being keys and values of two maps, and scores of lags that come from the controller at once instead of through embeddings of lags.
    """

    empty: Tensor

    class State(NamedTuple):
        """``contents`` [..., N, W]: rows, the newest first."""

        contents: Tensor

    def __init__(self, places: int, width: int, *, reads: int = 1) -> None:
        super().__init__()
        for name, size in (("places", places), ("width", width), ("reads", reads)):
            check_cells(size, name, "AppendedMemory")
        self.places, self.width, self.reads = places, width, reads
        self.register_buffer("empty", torch.full((places, width), START), persistent=False)

    @property
    def asked(self) -> int:
        """How many numbers a controller gives a moment."""
        return self.reads * (self.width + 1 + self.places) + self.width

    @property
    def read_size(self) -> int:
        """How many numbers come back."""
        return self.reads * self.width

    def initial(self, *leading: int) -> State:
        """Rows that hold next to nothing."""
        return self.State(self.empty.expand(*leading, *self.empty.shape))

    def step(self, asked: Tensor, s: State) -> tuple[Tensor, State]:
        """Let one moment pass: read, then append."""
        check_own(s, self)
        weights, add = self.attention(asked, s)
        return (weights @ s.contents).flatten(-2), self.State(torch.cat((add.unsqueeze(-2), s.contents[..., :-1, :]), -2))

    def attention(self, asked: Tensor, s: State) -> tuple[Tensor, Tensor]:
        """Bring what was asked into range: weights over lags from 1, [..., reads, N], and the row to append, [..., W]."""
        if asked.shape[-1] != self.asked:
            raise ValueError(f"This AppendedMemory is asked by {self.asked} numbers a moment, {list(asked.shape)} was given.")
        looks, add = asked.split((self.asked - self.width, self.width), -1)
        key, strength, lag = looks.unflatten(-1, (self.reads, -1)).split((self.width, 1, self.places), -1)
        return (likeness(s.contents, key.tanh(), softplus(strength)) + lag).softmax(-1), add.tanh()

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.places}, {self.width}, reads={self.reads}"
