"""A working memory of a few slots that inputs compete for, with gates on what is taken in and what is kept."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuropil.memory.protocol import check_cells, check_own
from neuropil.memory.top_k_attention import TopKAttention, drawn_linear


class SlotWorkingMemory(nn.Module):
    """Slots ``M_w`` that read the inputs by top-k attention, each taking from its k strongest ones, and are changed through gates.

    Equation: ``H = LN(M_w + A)`` with ``A`` what the slots, as queries, take from inputs ``x`` (``TopKAttention``, the ``top`` strongest inputs a slot and head); ``M' = LN(H + relu(W_b relu(W_a H)))``;
    ``i, f = sigmoid(W_x mean_t relu(w x_t) + W_m tanh(M_w) + (b_i, b_f))``; ``M_w <- i tanh(M') + f M_w``.

    ``s = memory.initial(*leading)``: slot n holds 1 in its n-th number and 0 elsewhere, so that no two are alike; where there are more slots than numbers the rest hold 0. ``content, s = memory.write(s, x)`` with x [..., T, width]: ``content`` is M' [..., slots, width], what was to be taken in, before the gates;
    ``y = memory.read(s, x)``: the same projections, every input asks all slots, [..., T, width]. ``slots`` [..., slots, width] is State; ``attention`` may be used for other readings. ``top=None`` lets every slot take from all inputs.

    Initial law: weights uniform with variance 1 / fan-in, w 1, ``b_i`` 0 and ``b_f`` 1, the other biases 0, drawn from ``generator``. Raises ``ValueError`` or ``TypeError`` for numbers that are none and inputs that do not fit. Source: pmi-memory2023 (code).
    Differs from it in that all slots share W_m, W_a and W_b are two matrices (the code lists one twice), and w starts at 1 instead of normally distributed.
    """

    class State(NamedTuple):
        """``slots`` [..., slots, width]: the working memory."""

        slots: Tensor

    def __init__(self, slots: int, width: int, *, heads: int = 4, top: int | None = 5, generator: torch.Generator | None = None) -> None:
        super().__init__()
        check_cells(slots, "slots", "SlotWorkingMemory")
        if top is not None:
            check_cells(top, "top", "SlotWorkingMemory")
        self.slots, self.width, self.top = slots, width, top
        self.attention = TopKAttention(width, heads=heads, generator=generator)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.inner, self.outer = (drawn_linear(width, width, generator) for _ in range(2))
        self.from_input, self.from_slots = (drawn_linear(width, 2 * width, generator) for _ in range(2))
        self.summary = nn.Parameter(torch.ones(width))
        nn.init.ones_(self.from_input.bias[width:])

    def initial(self, *leading: int) -> State:
        """Slots as rows of an identity matrix, cut or filled up with 0."""
        start = torch.eye(self.slots, self.width, dtype=self.summary.dtype, device=self.summary.device)
        return self.State(start.expand(*leading, *start.shape))

    def write(self, s: State, x: Tensor) -> tuple[Tensor, State]:
        """Let slots take from inputs [..., T, width]; return what was to be taken in, before the gates, and the state after it."""
        check_own(s, self)
        taken = self.norm1(s.slots + self.attention(s.slots, x, self.top))
        content = self.norm2(taken + self.outer(self.inner(taken).relu()).relu())
        i, f = self.gates(s, x)
        return content, self.State(i * content.tanh() + f * s.slots)

    def gates(self, s: State, x: Tensor) -> tuple[Tensor, Tensor]:
        """How much is taken in and how much kept of every number of every slot, both [..., slots, width] from 0 to 1."""
        summary = self.from_input((self.summary * x).relu().mean(-2, keepdim=True))
        i, f = (summary + self.from_slots(s.slots.tanh())).sigmoid().chunk(2, -1)
        return i, f

    def read(self, s: State, x: Tensor) -> Tensor:
        """Let every input ask all slots, [..., T, width]."""
        check_own(s, self)
        y: Tensor = self.attention(x, s.slots)
        return y

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.slots}, {self.width}, top={self.top}"
