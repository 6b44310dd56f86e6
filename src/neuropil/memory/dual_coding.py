"""Dual-coding memory: every moment of an episode is a row of two codes, what was said and what was seen, and either is asked by the other."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from neuropil.memory.protocol import check_cells, check_own

Code = Literal["language", "vision"]


def attend_nearest(query: Tensor, keys: Tensor, values: Tensor, nearest: int | None = None) -> tuple[Tensor, Tensor]:
    """Read rows by the likeness of their keys: ``w = softmax(keys query / sqrt(K))`` over the ``nearest`` likest rows (``None``: over all), 0 elsewhere; ``y = w values``.

    ``query`` [..., K], ``keys`` [..., R, K], ``values`` [..., R, V] -> ``y`` [..., V], ``w`` [..., R]. Of fewer rows than ``nearest`` all are read, of none y is 0. The choice of rows has no gradient, their weights
    have. Of equally like rows at the border only some count, so that never more than ``nearest`` do. Raises ``ValueError`` for shapes that do not fit and a ``nearest`` below 1. Sources: hill2021 (nearest rows), vaswani2017 (all rows).
    """
    if nearest is not None and (isinstance(nearest, bool) or not isinstance(nearest, int) or nearest < 1):
        raise ValueError(f"nearest is a number of rows, 1 or more, or None for all of them, {nearest!r} was given.")
    if keys.shape[:-1] != values.shape[:-1] or query.shape != (*keys.shape[:-2], keys.shape[-1]):
        raise ValueError(
            f"A read takes a query [..., K], keys [..., R, K] and values [..., R, V], {list(query.shape)}, {list(keys.shape)} and {list(values.shape)} were given."
        )
    likeness = (keys @ query.unsqueeze(-1)).squeeze(-1) / keys.shape[-1] ** 0.5
    if nearest is None or nearest >= keys.shape[-2]:
        weights = likeness.softmax(-1)
    else:
        top, rows = likeness.topk(nearest, -1)
        weights = torch.zeros_like(likeness).scatter(-1, rows, top.softmax(-1))
    return (weights.unsqueeze(-2) @ values).squeeze(-2), weights


class DualCodingMemory(nn.Module):
    """A store with a row a moment, a language code beside a visual one: asked by one code, it answers with the other.

    Equation: ``write`` appends the row ``(l, v)``; a query q meets the rows' codes of one kind, c_r, and reads those of the other, d_r: ``y = sum_r w_r d_r``, ``w = softmax(c_r . q / sqrt(size))`` over the ``nearest``
    likest rows, 0 elsewhere. Nothing is overwritten and nothing fades; an empty memory answers 0. Gradients pass through reads into what was written.

    ``s = m.initial(B)``; ``s = m.write(s, language, vision)``, [..., language_size] and [..., vision_size]; ``y, w = m.read(s, query)`` by language, ``m.read(s, query, by="vision")`` by vision; w [..., R] are shares of the rows.
    A whole episode is written at once as ``m.State(language, vision)``, [..., R, size] each. Codes are numbers of any size, without units. Raises ``ValueError`` or ``TypeError`` for sizes below 1, codes that do not fit, states of
    others and other ways to ask. Source: hill2021. Differs from it in that it finds the likest rows by inner products; what codes are is the user's, and so is whose query.
    """

    class State(NamedTuple):
        """``language`` [..., R, language_size], ``vision`` [..., R, vision_size]: the rows, in the order of writing."""

        language: Tensor
        vision: Tensor

    def __init__(self, language_size: int, vision_size: int, *, nearest: int | None = 8) -> None:
        super().__init__()
        check_cells(language_size, "language_size", "DualCodingMemory")
        check_cells(vision_size, "vision_size", "DualCodingMemory")
        if nearest is not None and (isinstance(nearest, bool) or not isinstance(nearest, int) or nearest < 1):
            raise ValueError(f"nearest of DualCodingMemory is a number of rows, 1 or more, or None for all of them, {nearest!r} was given.")
        self.language_size, self.vision_size, self.nearest = language_size, vision_size, nearest

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """No rows."""
        sizes = (self.language_size, self.vision_size)
        return self.State(*(torch.zeros(*leading, 0, size, device=device, dtype=dtype) for size in sizes))

    def write(self, s: State, language: Tensor, vision: Tensor) -> State:
        """Append a row."""
        check_own(s, self)
        for name, code, rows in (("language", language, s.language), ("vision", vision, s.vision)):
            if code.shape != (*rows.shape[:-2], rows.shape[-1]):
                raise ValueError(
                    f"The {name} code of a row has the shape {[*rows.shape[:-2], rows.shape[-1]]} here, {list(code.shape)} was given; write a moment at a time."
                )
        return self.State(*(torch.cat((rows, code.unsqueeze(-2)), -2) for rows, code in zip(s, (language, vision), strict=True)))

    def read(self, s: State, query: Tensor, *, by: Code = "language") -> tuple[Tensor, Tensor]:
        """Ask by one code for the other; the memory stays as it is."""
        check_own(s, self)
        if by not in get_args(Code):
            raise ValueError(f"A DualCodingMemory is asked by 'language' or by 'vision', {by!r} was given.")
        keys, values = (s.language, s.vision) if by == "language" else (s.vision, s.language)
        return attend_nearest(query, keys, values, self.nearest)

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.language_size}, {self.vision_size}, nearest={self.nearest}"
