import numpy as np
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from neuropil.geometry import cluster_map, foreground_ari


def test_clusters_are_sklearns_of_unit_vectors():
    features = torch.randn(4, 5, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = cluster_map(features, 4)
    for one, labels in zip(features, found, strict=True):
        points = one.flatten(1).T
        expected = AgglomerativeClustering(4, linkage="average").fit_predict((points / points.norm(dim=1, keepdim=True)).numpy())
        assert adjusted_rand_score(expected, labels.ravel()) == 1
    large = cluster_map(features, 4, size=12)
    assert (large[:, ::2, 1::2] == found).all()
    assert large.shape == (4, 12, 12)


def test_only_the_objects_count():
    objects = np.array([[[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]])
    ground = np.array([[[7, 8, 1, 1], [9, 9, 1, 1], [5, 5, 0, 0], [5, 5, 0, 0]]])
    assert foreground_ari(objects, ground).tolist() == [1.0]
    joined = np.where(objects == 3, 2, objects)
    assert foreground_ari(objects, joined)[0] == pytest.approx(adjusted_rand_score([1] * 4 + [2] * 4 + [3] * 4, [1] * 4 + [2] * 8))
    chance = np.random.default_rng(0).integers(3, size=(400, 4, 4))
    assert foreground_ari(objects.repeat(400, 0), chance).mean() == pytest.approx(0.0, abs=0.03)


def test_it_is_sklearns_index_over_the_objects():
    rng = np.random.default_rng(1)
    objects, clusters = rng.integers(4, size=(30, 6, 6)), rng.integers(5, size=(30, 6, 6))
    clusters[:10] = objects[:10] // 2
    expected = [adjusted_rand_score(true[true > 0], given[true > 0]) for true, given in zip(objects, clusters, strict=True)]
    np.testing.assert_allclose(foreground_ari(objects, clusters), expected, atol=1e-12)


def test_refusals():
    with pytest.raises(ValueError, match="1 to H W clusters"):
        cluster_map(torch.zeros(1, 3, 2, 2), 5)
    with pytest.raises(ValueError, match="divide, 7"):
        cluster_map(torch.zeros(1, 3, 2, 2), 2, size=7)
    with pytest.raises(ValueError, match="of one shape"):
        foreground_ari(np.ones((1, 2, 2), np.int64), np.ones((1, 3, 3), np.int64))
    with pytest.raises(ValueError, match="two objects or more"):
        foreground_ari(np.ones((1, 2, 2), np.int64), np.ones((1, 2, 2), np.int64))
