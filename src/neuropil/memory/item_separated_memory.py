"""A memory of facts whose items stay apart: keys and values see each item in its own place, a query attends to facts by several heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuropil.memory.protocol import check_cells


class ItemSeparatedMemory(nn.Module):
    """Multi-head attention of one query over facts of several items each, as in MEMO.

    Equation, for head h and fact i with items ``x_i1 .. x_iS`` side by side, ``c_i`` [S code]: ``k_i = K_h c_i``, ``v_i = V_h c_i``, ``w = softmax_i(k_i . q_h / sqrt(d))``, ``r_h = sum_i w_i v_i``. It is computed as ``w = softmax(c (K_h^T q_h) / sqrt(d))`` and
    ``r_h = V_h (w c)``, the same numbers with one product a query instead of one a fact.

    ``q`` [..., heads d], ``facts`` [..., F, S, code] -> ``read`` [..., heads d], ``w`` [..., heads, F]: ``read, w = memory(q, facts)``. ``first(cue)`` makes the first query of a code [..., code]: ``Q cue``.
    Keeping items apart means that K and V have their own numbers for each place of a fact; ``summed`` has one set for all places, and then a fact is the sum of its items.

    ``query`` [heads d, code], ``key`` and ``value`` [heads d, S code] (``summed``: [heads d, code]). Initial law: normal with variance 1 / code, K the same as Q in every place, so that a fact that holds the cue is like it from the start; drawn from ``generator`` (None: torch's own).
    Raises ``ValueError`` or ``TypeError`` for sizes that are none and inputs that do not fit. Source: banino2020.
    Differs from the paper in an embedding that is part of K, V and Q, no dropout, no LayerNorm of scores, and keys that begin like queries.
    """

    def __init__(
        self, code: int, *, items: int = 2, width: int = 48, heads: int = 2, summed: bool = False, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        for name, size in (("code", code), ("items", items), ("width", width), ("heads", heads)):
            check_cells(size, name, "ItemSeparatedMemory")
        self.code, self.items, self.width, self.heads, self.summed = code, items, width, heads, summed
        places = 1 if summed else items
        query = torch.randn(heads * width, code, generator=generator) * code**-0.5
        self.query, self.key = nn.Parameter(query), nn.Parameter(query.repeat(1, places))
        self.value = nn.Parameter(torch.randn(heads * width, places * code, generator=generator) * code**-0.5)

    def first(self, cue: Tensor) -> Tensor:
        """Make a query of a code."""
        return cue @ self.query.T

    def forward(self, q: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Read what a query [..., heads d] finds in facts [..., F, S, code]: what is read, and how much each head takes of each fact."""
        if facts.ndim < 3 or facts.shape[-2:] != (self.items, self.code) or q.shape[-1] != self.heads * self.width:
            raise ValueError(
                f"This ItemSeparatedMemory takes queries [..., {self.heads * self.width}] and facts [..., F, {self.items}, {self.code}], "
                f"{list(q.shape)} and {list(facts.shape)} were given; reshape them."
            )
        c = facts.sum(-2) if self.summed else facts.flatten(-2)
        key, value = (one.unflatten(0, (self.heads, self.width)) for one in (self.key, self.value))
        wanted = torch.einsum("...hd,hdc->...hc", q.unflatten(-1, (self.heads, self.width)), key)
        w = (wanted @ c.transpose(-1, -2) * self.width**-0.5).softmax(-1)
        return torch.einsum("...hc,hdc->...hd", w @ c, value).flatten(-2), w

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.code}, items={self.items}, width={self.width}, heads={self.heads}, summed={self.summed}"
