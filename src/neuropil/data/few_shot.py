"""Few-shot sequences: pairs of exemplar and label, then a query; labels are drawn anew every time, so that only the context tells."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from neuropil.data.checks import whole


class FewShotBatch(NamedTuple):
    """``tokens`` f32 [n, T, dim + labels]; ``target`` i64 [n], the query's label; ``match`` i64 [n], the position of that label in the context."""

    tokens: Tensor
    target: Tensor
    match: Tensor


class FewShotSequences:
    """Sequences ``A a B b ... Q``: ``pairs`` exemplars of different classes, each before its label, then a query that is one of them again.

    Exemplars are prototypes, one a class: ``p_c = sqrt(shared) u + sqrt(1 - shared) v_c`` with u and all v_c random unit vectors of ``dim``
    entries, v_c at right angles to u; so every p_c has length 1 and two of them have a cosine of ``shared`` on average. A sequence takes ``pairs`` classes and as many
    labels, both without replacement and in random order, so a class has no label of its own and no position is likelier than another.
    A token is a vector of ``dim + labels`` entries: the exemplar and zeros, or zeros and the label as one-hot; T = 2 pairs + 1.

    Of all sets of ``pairs`` labels, ``held_out_sets`` never occur with ``held_out=False`` and alone occur with ``held_out=True``; every
    label still occurs. ``new_classes`` further prototypes are used with ``new=True`` only. Everything is drawn from ``generator``.
    Source: singh2024. Differs from the paper in that exemplars are random prototypes (there: features of handwritten characters, which are not
    centred either). Raises ``ValueError`` for too few classes, labels or sets of labels and for a ``shared`` outside 0 to 1.
    """

    def __init__(
        self,
        generator: torch.Generator,
        *,
        classes: int = 50,
        new_classes: int = 50,
        dim: int = 64,
        labels: int = 5,
        pairs: int = 2,
        held_out_sets: int = 2,
        shared: float = 0.0,
    ) -> None:
        for name, value, least in (("pairs", pairs, 2), ("classes", classes, pairs), ("labels", labels, pairs), ("dim", dim, 2)):
            whole(name, value, least)
        whole("new_classes", new_classes, 0)
        whole("held_out_sets", held_out_sets, 0)
        if not 0 <= shared < 1:
            raise ValueError(f"shared is the cosine of two classes, from 0 to below 1, {shared!r} was given; 0 is no likeness.")
        drawn = normalize(torch.randn(1 + classes + new_classes, dim, generator=generator), dim=1)
        common, own = drawn[0], drawn[1:]
        own = normalize(own - (own @ common)[:, None] * common, dim=1)
        self.prototypes = shared**0.5 * common + (1 - shared) ** 0.5 * own
        self.classes, self.labels, self.pairs = classes, labels, pairs
        sets = torch.combinations(torch.arange(labels), pairs)
        most = math.comb(labels - 1, pairs - 1) - 1
        if held_out_sets > most:
            raise ValueError(
                f"Every label must still be seen: of {len(sets)} sets of labels {most} can be held out, {held_out_sets} was given; hold out fewer."
            )
        sets = sets[torch.randperm(len(sets), generator=generator)]
        self.held_out, self.sets = sets[:held_out_sets], sets[held_out_sets:]

    @property
    def length(self) -> int:
        """How many tokens a sequence has."""
        return 2 * self.pairs + 1

    @property
    def inputs(self) -> int:
        """How many entries a token has."""
        return int(self.prototypes.shape[1]) + self.labels

    def sample(self, n: int, generator: torch.Generator, *, held_out: bool = False, new: bool = False) -> FewShotBatch:
        """Draw ``n`` sequences; raises ``ValueError`` for sets or classes that there are none of."""
        whole("n", n, 1)
        sets, pool = (self.held_out if held_out else self.sets), self.prototypes[self.classes :] if new else self.prototypes[: self.classes]
        if not len(sets) or len(pool) < self.pairs:
            raise ValueError("There is nothing held out to draw from; build FewShotSequences with held_out_sets= or new_classes= of more.")
        classes = torch.rand(n, len(pool), generator=generator).topk(self.pairs, dim=1).indices
        order = torch.rand(n, self.pairs, generator=generator).argsort(dim=1)
        labels = sets[torch.randint(len(sets), (n,), generator=generator)].gather(1, order)
        asked = torch.randint(self.pairs, (n, 1), generator=generator)
        dim = pool.shape[1]
        tokens = pool.new_zeros(n, self.length, dim + self.labels)
        tokens[:, 0:-1:2, :dim] = pool[classes]
        tokens[:, 1::2, dim:].scatter_(2, labels[..., None], 1.0)
        tokens[:, -1, :dim] = pool[classes.gather(1, asked)[:, 0]]
        return FewShotBatch(tokens, labels.gather(1, asked)[:, 0], 2 * asked[:, 0] + 1)
