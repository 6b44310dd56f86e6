"""A long-term store of several copies of working-memory slots, written by an outer product and read as their mean."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from neuropil.memory.protocol import check_cells, check_own

Merge = Literal["outer", "summed", "none"]


class OuterProductMemory(nn.Module):
    """Long-term store ``M_l`` of C segments, each as large as a working memory, into which the content ``M'`` of its slots is merged.

    Equation: ``M_l <- LN(M_l + strength u (x) M')``, rows of ``width`` numbers normalised, by ``merge``:

    - ``"outer"``: a true outer product of segments and content, ``(u (x) M')_cnd = u_c M'_nd``, with ``u_c = sigmoid(sum_nd M_l,cnd M'_nd / sqrt(slots width))``: a segment that resembles the content takes up more of it.
    - ``"summed"``: the released code's ``einsum("cnd,nf->cnf", M_l, M')``, whose index d is summed: ``u_cn M'_nf`` with ``u_cn = sum_d M_l,cnd``. No outer product; and since LN leaves rows that sum to 0, nothing is written any more, until LN's gain or bias have learned otherwise.
    - ``"none"``: nothing is merged, ``M_l <- LN(M_l)``: a learned constant.

    ``s = memory.initial(*leading)``: LN of the parameter ``start`` [C, slots, width], normal with variance 1, which learns unless ``learnable=False``. ``s = memory.write(s, content)`` with content [..., slots, width];
    ``memory.read(s)`` [..., slots, width] is the mean over segments, for attention to look at. ``store`` [..., C, slots, width] is State. LN has a gain and a bias, one for all rows.

    ``strength`` is 0 or more. Raises ``ValueError`` or ``TypeError`` for numbers and words that are none and for content that does not fit. Source: pmi-memory2023 (paper and code); what ``u`` is in ``"outer"``, and the learned start, are ours.
    """

    class State(NamedTuple):
        """``store`` [..., C, slots, width]: the long-term memory."""

        store: Tensor

    def __init__(
        self,
        slots: int,
        width: int,
        *,
        segments: int = 5,
        merge: Merge = "outer",
        strength: float = 1.0,
        learnable: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("slots", slots), ("width", width), ("segments", segments)):
            check_cells(size, name, "OuterProductMemory")
        if merge not in get_args(Merge):
            raise ValueError(f"merge of OuterProductMemory is one of {', '.join(get_args(Merge))}, {merge!r} was given.")
        if not strength >= 0:
            raise ValueError(f"strength of OuterProductMemory is 0 or more, {strength!r} was given; give 1 to merge fully.")
        self.slots, self.width, self.segments, self.merge, self.strength = slots, width, segments, merge, strength
        self.norm = nn.LayerNorm(width)
        self.start = nn.Parameter(torch.randn(segments, slots, width, generator=generator), requires_grad=learnable)

    def initial(self, *leading: int) -> State:
        """The learned store, its rows normalised."""
        start = self.norm(self.start)
        return self.State(start.expand(*leading, *start.shape))

    def write(self, s: State, content: Tensor) -> State:
        """Merge what the working memory was to take in, [..., slots, width]."""
        check_own(s, self)
        if content.shape != (*s.store.shape[:-3], self.slots, self.width):
            raise ValueError(
                f"content of OuterProductMemory has the shape {list(content.shape)}; accepted is {[*s.store.shape[:-3], self.slots, self.width]}, as the state has it."
            )
        if self.merge == "none":
            return self.State(self.norm(s.store))
        m = content.unsqueeze(-3)
        return self.State(self.norm(s.store + self.strength * self.shares(s, content) * m))

    def shares(self, s: State, content: Tensor) -> Tensor:
        """``u``: what each segment takes up of the content, [..., C, 1, 1] for an outer product, [..., C, slots, 1] for the sum."""
        if self.merge == "summed":
            return s.store.sum(-1, keepdim=True)
        alike: Tensor = (s.store * content.unsqueeze(-3)).sum((-2, -1), keepdim=True)
        return (alike / math.sqrt(self.slots * self.width)).sigmoid()

    def read(self, s: State) -> Tensor:
        """The mean over segments, [..., slots, width]."""
        check_own(s, self)
        return s.store.mean(-3)

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.slots}, {self.width}, segments={self.segments}, merge={self.merge!r}"
