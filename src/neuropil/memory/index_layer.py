"""An index layer: one unit a concept, tied to the representation layer by an embedding that reads it out and is written back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class IndexLayer(nn.Module):
    """Concepts, in groups, that are decoded from a representation ``q`` and broadcast back into it by the same embedding.

    Decoding, among the units of one group: ``P(i | q) = softmax_i(b_i + a_i . sigm(q))``. Feedback of the chosen unit: ``q <- q + strength a_i``.
    Semantic memory: with nothing seen, ``q`` starts from the group's learned ``rest`` state, and what is given is fed back into it:
    ``P(i | j, k) = softmax_i(b_i + a_i . sigm(rest_g + strength (a_j + a_k)))``. The same ``a`` serves all three.

    ``groups`` maps each group's name to how many units it has, in order; a unit is counted within its group. Representations [..., size], real.
    Parameters: ``embedding`` [units, size] and ``rest`` [groups, size], normal with standard deviation ``spread`` from ``generator``, and ``bias`` [units], 0.

    Differs from the paper in that no map evolves ``q`` between moments: what was fed back adds up. A concept that is asked for in two roles needs a unit in either group.
    Raises ``ValueError`` for groups, names and shapes that do not fit. Source: tresp2020.
    """

    def __init__(self, groups: Mapping[str, int], size: int, *, spread: float = 0.1, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not groups or min(groups.values()) < 1 or size < 1:
            raise ValueError(f"IndexLayer needs a group of a unit and a size of 1 at least, {dict(groups)} and {size} were given.")
        if not spread >= 0:
            raise ValueError(f"spread of IndexLayer is 0 or more, {spread!r} was given.")
        self.groups, self.size = dict(groups), size
        self.embedding = nn.Parameter(spread * torch.randn(sum(groups.values()), size, generator=generator))
        self.rest = nn.Parameter(spread * torch.randn(len(groups), size, generator=generator))
        self.bias = nn.Parameter(torch.zeros(sum(groups.values())))

    def units(self, group: str) -> slice:
        """Where a group's units lie in ``embedding`` and ``bias``."""
        if group not in self.groups:
            raise ValueError(f"This IndexLayer has the groups {', '.join(self.groups)}; {group!r} was asked for.")
        start = 0
        for name, number in self.groups.items():
            if name == group:
                break
            start += number
        return slice(start, start + number)

    def decode(self, q: Tensor, group: str) -> Tensor:
        """Log probabilities [..., units of the group] given representations q [..., size]."""
        if q.ndim == 0 or q.shape[-1] != self.size:
            raise ValueError(f"Representations are [..., {self.size}], {list(q.shape)} was given.")
        units = self.units(group)
        return (q.sigmoid() @ self.embedding[units].mT + self.bias[units]).log_softmax(-1)

    def feed_back(self, q: Tensor, group: str, chosen: Tensor, *, strength: float = 1.0) -> Tensor:
        """Broadcast what was chosen: q [..., size] and indices within the group i64 [...] -> ``q + strength a``; both broadcast."""
        units = self.units(group)
        if chosen.is_floating_point() or (chosen.numel() and not 0 <= int(chosen.min()) <= int(chosen.max()) < self.groups[group]):
            raise ValueError(
                f"Units of the group {group!r} are i64 from 0 to {self.groups[group] - 1}, others were given; count them within their group."
            )
        return q + strength * self.embedding[units][chosen]

    def from_memory(self, group: str, given: Mapping[str, Tensor], *, strength: float = 1.0) -> Tensor:
        """Ask semantic memory: log probabilities [..., units of ``group``] with nothing seen and the ``given`` units, a group's name to indices, fed back."""
        self.units(group)
        q = self.rest[list(self.groups).index(group)]
        for name, chosen in given.items():
            q = self.feed_back(q, name, chosen, strength=strength)
        return self.decode(q, group)
