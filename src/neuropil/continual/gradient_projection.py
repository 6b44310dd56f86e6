"""Gradient projection: a new task's updates are kept off the subspace in which the activity of old tasks lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Subspace(nn.Module):
    """A subspace of a layer's input space, as rows, and the projection off it.

    Equation: ``project(x) = x - strength H^T H x``. A weight update ``dW = delta project(x)^T`` equals ``project(dW)``, row by row, so that
    traces and gradients [out, size] are projected alike; where the rows are orthonormal it changes no output on inputs in their span.
    Buffer ``rows`` H [..., M, size], M = 0 at first; ``leading``: axes of replicas, each with a subspace of its own.
    Source: saha2021. Raises ``ValueError`` for a size below 1, and for inputs or rows of another width.
    """

    rows: Tensor

    def __init__(self, size: int, *, leading: tuple[int, ...] = ()) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"A subspace lies in a space of at least one dimension, size={size} was given; give the layer's inputs.")
        self.size = size
        self.register_buffer("rows", torch.zeros(*leading, 0, size))

    @property
    def rank(self) -> int:
        """M, the number of rows."""
        return self.rows.shape[-2]

    def project(self, x: Tensor, strength: float = 1.0) -> Tensor:
        """Take the part in the subspace out of x [..., B, size], traces or the rows of a gradient."""
        self._fits(x, "inputs")
        return x - strength * (x @ self.rows.mT) @ self.rows

    def captured(self, x: Tensor, strength: float = 1.0) -> Tensor:
        """Return the share of energy that projection removes: ``1 - sum |project(x)|^2 / sum |x|^2``, x [..., B, size] -> [...]."""
        return 1 - self.project(x, strength).square().sum((-2, -1)) / x.square().sum((-2, -1))

    def extend(self, rows: Tensor) -> None:
        """Add the span of rows [..., m, size]: each is made orthogonal to the rows held and to the others, and of unit length.

        A row that lies in the span of the others (silent inputs) is replaced by an arbitrary direction outside it. Raises ``ValueError``
        where m more directions do not fit beside those held.
        """
        self._fits(rows, "rows")
        if self.rank + rows.shape[-2] > self.size:
            raise ValueError(
                f"{rows.shape[-2]} more rows do not fit: {self.rank} of {self.size} dimensions are taken; add at most {self.size - self.rank}."
            )
        both = torch.cat([self.rows.to(rows), rows], dim=-2)
        fresh = torch.linalg.qr(both.mT).Q[..., self.rank :].mT
        self.rows = torch.cat([self.rows.to(rows), fresh], dim=-2)

    def _fits(self, x: Tensor, what: str) -> None:
        if x.ndim < 2 or x.shape[-1] != self.size:
            raise ValueError(f"{type(self).__name__} takes {what} [..., number, {self.size}], {list(x.shape)} was given.")

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            if (saved := state_dict.get(prefix + name)) is not None:
                setattr(self, name, buffer.new_zeros(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"size={self.size}, rank={self.rank}"


class GradientProjection(Subspace):
    """Gradient projection memory (GPM): after each task the leading directions of what its inputs leave outside the subspace are added.

    Equation: ``R = project(x)``, ``R = U S V^T``; the first m right singular vectors are added. m is ``rank``, or the smallest for which
    old and new directions hold the share ``threshold`` of ``sum |x|^2``.
    Use: ``memory.add(inputs)`` after a task; ``weight.grad = memory.project(weight.grad)`` at every later step.
    Source: saha2021. Differs from the paper in that m may be given, and a layer's inputs are vectors (unfold patches beforehand).
    Raises as ``Subspace``; also for both or neither of ``rank`` and ``threshold``, and for a threshold outside (0, 1] or with replicas.
    """

    @torch.no_grad()
    def add(self, x: Tensor, *, rank: int | None = None, threshold: float | None = None) -> int:
        """Add directions for inputs x [..., B, size], and return how many."""
        if (rank is None) == (threshold is None):
            raise ValueError(f"add() takes either a rank or a threshold, {rank} and {threshold} were given; give one of them.")
        rest = self.project(x)
        _, values, directions = torch.linalg.svd(rest.double(), full_matrices=False)
        if threshold is not None:
            if x.ndim != 2 or not 0 < threshold <= 1:
                raise ValueError(
                    f"A threshold is a share in (0, 1] of inputs [B, size], {threshold} of {list(x.shape)} was given; replicas share a rank=."
                )
            total = x.square().sum()
            held = (total - rest.square().sum() + torch.cat([values.new_zeros(1), values.square().cumsum(0)])) / total
            enough = held >= threshold - torch.finfo(x.dtype).eps * len(values)
            rank = int(enough.float().argmax()) if bool(enough.any()) else len(values)
            rank = min(rank, self.size - self.rank)
        if rank is None or not 0 <= rank <= directions.shape[-2]:
            raise ValueError(f"{x.shape[-2]} inputs span at most {directions.shape[-2]} directions, rank={rank} was asked for.")
        if rank:
            self.extend(directions[..., :rank, :].to(x))
        return rank


def principal_subspace(x: Tensor, rank: int) -> Tensor:
    """Return the rank leading directions of inputs x [..., B, size] as orthonormal rows [..., rank, size], the energy about 0 counted.

    Raises ``ValueError`` for a rank outside 1 .. size.
    """
    if not 1 <= rank <= x.shape[-1]:
        raise ValueError(f"Inputs {list(x.shape)} have 1 to {x.shape[-1]} principal directions, rank={rank} was asked for.")
    wide = x.double()  # where many units are silent, single precision does not converge
    vectors: Tensor = torch.linalg.eigh(wide.mT @ wide)[1]
    return vectors[..., -rank:].mT.flip(-2).to(x)


def subspace_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared cosine of the principal angles of two spans of rows [..., m, size] -> [...]: 0 orthogonal, 1 the same.

    Equation: ``||Q_a^T Q_b||_F^2 / m`` with orthonormal bases Q; for a random span its mean is m / size. Raises ``ValueError`` unless both have
    m rows of one width.
    """
    if a.shape[-2:] != b.shape[-2:]:
        raise ValueError(f"Two spans of like rank are compared, {list(a.shape)} and {list(b.shape)} were given.")
    qa, qb = torch.linalg.qr(a.mT).Q, torch.linalg.qr(b.mT).Q
    cosines: Tensor = qa.mT @ qb
    return cosines.square().sum((-2, -1)) / a.shape[-2]


def random_rows(rank: int, size: int, generator: torch.Generator) -> Tensor:
    """Draw rank orthonormal rows [rank, size], uniformly over all such spans (Haar). Raises ``ValueError`` unless 1 <= rank <= size."""
    if not 1 <= rank <= size:
        raise ValueError(f"{size} dimensions hold 1 to {size} orthonormal rows, {rank} were asked for.")
    q, r = torch.linalg.qr(torch.randn(size, rank, generator=generator))
    rows: Tensor = q * torch.where(r.diagonal() < 0, -1.0, 1.0)
    return rows.mT
