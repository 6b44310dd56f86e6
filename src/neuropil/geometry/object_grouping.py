"""Do features group a picture's parts into its objects? Clusters of places, and how far they agree with the true objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

Labels = NDArray[np.int64]


def cluster_map(features: Tensor, clusters: int, *, size: int | None = None) -> Labels:
    """Cluster the places of each feature map: features [B, C, H, W] -> cluster numbers from 0, i64 [B, H, W], or [B, size, size] by repeating places.

    Features are scaled to length 1 at every place and joined from the bottom up by mean Euclidean distance (average linkage) until ``clusters`` are left, fewer where ties join. As in miyato2024. Needs scipy.
    Raises ``ValueError`` for maps of another rank, more clusters than places, or a size that the sides do not divide.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if features.ndim != 4 or not 1 <= clusters <= features.shape[2] * features.shape[3]:
        raise ValueError(
            f"cluster_map takes features [B, C, H, W] and 1 to H W clusters, {list(features.shape)} and {clusters} were given."
        )
    height, width = features.shape[2:]
    if size is not None and (size % height or size % width):
        raise ValueError(f"cluster_map repeats places to a size that {height} and {width} divide, {size} was given.")
    points = normalize(features.detach().double(), dim=1).flatten(2).mT.cpu().numpy()
    maps = [fcluster(linkage(one, "average"), clusters, "maxclust") - 1 for one in points]
    labels: Labels = np.asarray(maps, np.int64).reshape(len(features), height, width)
    return labels if size is None else labels.repeat(size // height, 1).repeat(size // width, 2)


def foreground_ari(objects: Labels, clusters: Labels) -> NDArray[np.float64]:
    """Adjusted Rand index of clusters and objects over the pixels of objects (label above 0), picture by picture: [B, H, W] twice -> [B].

    Equation, with ``n_ij`` pixels of object ``i`` in cluster ``j``, ``c(n) = n (n - 1) / 2``, and ``a``, ``b`` the sums of ``c`` over objects and over clusters:
    ``(sum c(n_ij) - a b / c(n)) / ((a + b) / 2 - a b / c(n))``. 1 where clusters are the objects, about 0 by chance; how the ground is clustered does not count. Source: hubert1985.
    Computed here for all pictures at once, since scikit-learn's ``adjusted_rand_score`` takes a millisecond a picture.
    Raises ``ValueError`` for unequal shapes or a picture with fewer than two objects.
    """
    if objects.shape != clusters.shape or objects.ndim != 3:
        raise ValueError(f"foreground_ari takes two maps [B, H, W] of one shape, {objects.shape} and {clusters.shape} were given.")
    true, given = (np.unique(labels, return_inverse=True)[1].reshape(len(labels), -1) for labels in (objects, clusters))
    inside = (objects > 0).reshape(len(objects), -1)
    picture = np.nonzero(inside)[0]
    shape = (len(objects), true.max(initial=0) + 1, given.max(initial=0) + 1)
    at = np.ravel_multi_index((picture, true[inside], given[inside]), shape)
    counts = np.bincount(at, minlength=int(np.prod(shape))).reshape(shape)
    if ((counts.sum(2) > 0).sum(1) < 2).any():
        raise ValueError("foreground_ari compares two objects or more in every picture, one with fewer was given; leave it out.")
    joint, a, b, every = (_pairs(counts).sum((1, 2)), *(_pairs(counts.sum(axis)).sum(1) for axis in (2, 1)), _pairs(counts.sum((1, 2))))
    chance = a * b / every
    found: NDArray[np.float64] = (joint - chance) / ((a + b) / 2 - chance)
    return found


def _pairs(count: NDArray[np.int64]) -> NDArray[np.float64]:
    return count * (count - 1) / 2
