"""Feature translation: examples of new classes, moved onto the stored mean of an old class, stand in for examples of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class PseudoFeatures(NamedTuple):
    """What stands in for old classes: ``features`` [M, D], their ``labels`` i64 [M], and for each old class, in the order asked, the ``source`` class it was made from, i64 [K]."""

    features: Tensor
    labels: Tensor
    source: Tensor


def translate_features(f: Tensor, labels: Tensor, means: Tensor, old: Sequence[int], rank: int = 0) -> PseudoFeatures:
    """Make pseudo-features of old classes from those of new ones (FeTrIL): ``f' = f + mu_old - mu_new`` for all f of the chosen new class.

    f [N, D] with labels i64 [N] of the new classes; ``means`` [classes, D] are those stored for old classes (rows of new ones are not read: their means are those of f). For each class in ``old`` the source is the new class
    whose mean is nearest (``rank`` 0), second nearest (1), ..., farthest (-1) in Euclidean distance. The mean of an old class's pseudo-features is its stored mean, exactly to rounding, and their
    covariance is that of the source. Source: petit2022. Differs from the text in the distance (there cosine similarity; this is the authors' code).
    Raises ``ValueError`` for features and labels that do not fit, an old class that is among the new ones, and a rank beyond the number of new classes.
    """
    new = labels.unique()
    if f.ndim != 2 or labels.shape != f.shape[:1] or labels.dtype != torch.long or means.ndim != 2 or means.shape[1] != f.shape[1]:
        raise ValueError(
            f"translate_features takes features [N, D], labels i64 [N] and means [classes, D], {list(f.shape)}, {labels.dtype} {list(labels.shape)} and {list(means.shape)} were given."
        )
    if both := set(old) & set(new.tolist()):
        raise ValueError(f"Class {min(both)} is among the old and the new classes; give an old class no features of its own.")
    if not -len(new) <= rank < len(new):
        raise ValueError(f"rank names one of {len(new)} new classes by nearness, from 0 or from -1 backwards, {rank} was given.")
    own = torch.stack([f[labels == c].mean(0) for c in new])
    targets = means[list(old)].to(f)
    order = torch.cdist(targets, own, compute_mode="donot_use_mm_for_euclid_dist").argsort(dim=1, stable=True)
    source = order[:, rank]
    made = [f[labels == new[k]] - own[k] + target for k, target in zip(source, targets, strict=True)]
    names = [torch.full((len(part),), c) for part, c in zip(made, old, strict=True)]
    return PseudoFeatures(torch.cat(made), torch.cat(names), new[source])
