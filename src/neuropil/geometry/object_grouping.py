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

    1 where clusters are the objects, about 0 by chance; how the ground is clustered does not count. Undefined with one object. Needs scikit-learn. Source: hubert1985.
    Raises ``ValueError`` for unequal shapes or a picture with fewer than two objects.
    """
    from sklearn.metrics import adjusted_rand_score

    if objects.shape != clusters.shape or objects.ndim != 3:
        raise ValueError(f"foreground_ari takes two maps [B, H, W] of one shape, {objects.shape} and {clusters.shape} were given.")
    found = []
    for true, given in zip(objects, clusters, strict=True):
        inside = true > 0
        if len(np.unique(true[inside])) < 2:
            raise ValueError("foreground_ari compares two objects or more in every picture, one with fewer was given; leave it out.")
        found.append(adjusted_rand_score(true[inside], given[inside]))
    return np.asarray(found)
