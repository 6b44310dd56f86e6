"""Nearest neighbours of which every class looks at its own units only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

_ROWS = 4096
"""Vectors that are compared at once."""


class MaskedNeighbours:
    """k nearest neighbours among stored vectors, each class seen through its own units: the distance of x to v of class c is ``|n(m_c x) - n(m_c v)|``, ``n(x) = x / |x|``.

    ``store(label, vectors, units)`` keeps vectors [n, D] of a class with ``units`` bool [D] (None: all) in place of what was kept of it. ``model(x)``: x [N, D] -> labels i64 [N] by the most
    votes of the ``k`` nearest of all classes (all, if fewer are held); of classes with equally many votes the one with the nearest vector. ``masked=False`` looks at all units.
    ``labels``: the classes held; ``vectors(label)`` and ``units(label)`` what is kept of one; ``bytes``: four a number of a vector and a bit a unit of a class.
    Raises ``ValueError`` for k below 1, no vectors, vectors or units of another width or kind, a class without units, one that is not held, and a question before anything is stored.
    Source: gurbuz2023. Differs from the authors' code in ties, which there go to the class of the smaller label.
    """

    def __init__(self, k: int = 5) -> None:
        if k < 1:
            raise ValueError(f"MaskedNeighbours asks one neighbour or more, k={k} was given.")
        self.k = k
        self._held: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def labels(self) -> list[int]:
        """The classes held, in the order in which they came."""
        return list(self._held)

    @property
    def bytes(self) -> int:
        """What all that is held takes."""
        return sum(4 * vectors.numel() + -(-units.numel() // 8) for vectors, units in self._held.values())

    def store(self, label: int, vectors: Tensor, units: Tensor | None = None) -> None:
        """Keep the vectors of a class and the units by which it is known."""
        width = next((kept.shape[1] for kept, _ in self._held.values()), None)
        if vectors.ndim != 2 or not vectors.numel() or (width is not None and vectors.shape[1] != width):
            raise ValueError(
                f"store takes one vector or more, [n, {'D' if width is None else width}], {list(vectors.shape)} was given for class {label}."
            )
        chosen = torch.ones(vectors.shape[1], dtype=torch.bool) if units is None else units
        if chosen.dtype != torch.bool or chosen.shape != vectors.shape[1:] or not bool(chosen.any()):
            raise ValueError(
                f"The units of class {label} are bool [{vectors.shape[1]}], one at least True, {chosen.dtype} {list(chosen.shape)} was given."
            )
        self._held[label] = (vectors.detach().clone(), chosen.clone())

    def vectors(self, label: int) -> Tensor:
        """The vectors of a class."""
        return self._of(label)[0]

    def units(self, label: int) -> Tensor:
        """The units by which a class is known."""
        return self._of(label)[1]

    @torch.no_grad()
    def __call__(self, x: Tensor, *, masked: bool = True) -> Tensor:
        """Name the classes of vectors [N, D]."""
        if not self._held:
            raise ValueError("Nothing is stored to compare with; store the vectors of a class first.")
        width = next(iter(self._held.values()))[0].shape[1]
        if x.ndim != 2 or x.shape[1] != width:
            raise ValueError(f"These MaskedNeighbours take vectors [N, {width}], {list(x.shape)} was given.")
        return torch.cat([self._named(part, masked) for part in x.split(_ROWS)] or [x.new_zeros(0, dtype=torch.long)])

    def _named(self, x: Tensor, masked: bool) -> Tensor:
        likeness, labels = [], []
        for label, (vectors, units) in self._held.items():
            seen, kept = (x[:, units], vectors[:, units]) if masked else (x, vectors)
            likeness.append(nearness(seen, kept))
            labels += [label] * len(vectors)
        near = torch.cat(likeness, 1).topk(min(self.k, len(labels)), dim=1).indices
        voters = torch.tensor(labels)[near]
        votes = (voters[:, :, None] == voters[:, None, :]).sum(2)
        return voters.gather(1, votes.argmax(1, keepdim=True)).squeeze(1)

    def _of(self, label: int) -> tuple[Tensor, Tensor]:
        if label not in self._held:
            raise ValueError(f"Nothing of class {label} is stored; stored are {self.labels or 'none'}.")
        return self._held[label]


def nearness(x: Tensor, y: Tensor) -> Tensor:
    """Minus the squared distance of every x [N, D] to every y [M, D], both scaled to length 1 (a vector of zeros stays one): [N, M]."""
    a, b = normalize(x, dim=1), normalize(y, dim=1)
    return 2 * a @ b.mT - a.square().sum(1)[:, None] - b.square().sum(1)
