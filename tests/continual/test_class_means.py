import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid

from neuropil.continual import NearestMean, StreamingLDA


def clusters(n=400, features=12, classes=5, seed=0):
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randperm(n, generator=draws) % classes
    mixing = torch.randn(features, features, generator=draws)
    means = torch.randn(classes, features, generator=draws)
    return means[labels] * 1.5 + torch.randn(n, features, generator=draws) @ mixing / 3, labels


def fed(model, f, labels, chunk):
    for part, names in zip(f.split(chunk), labels.split(chunk), strict=True):
        model.add(part, names)
    return model


@pytest.mark.parametrize("chunk", [1, 7, 400])
def test_nearest_mean_is_scikit_learns_nearest_centroid(chunk):
    f, labels = clusters()
    peer = NearestCentroid().fit(f.numpy().astype(np.float64), labels.numpy())
    model = fed(NearestMean(12, 5), f, labels, chunk)
    torch.testing.assert_close(model.means, torch.from_numpy(peer.centroids_))
    other, _ = clusters(seed=1)
    assert (model(other).argmax(1).numpy() == peer.predict(other.numpy().astype(np.float64))).all()


@pytest.mark.parametrize("chunk", [1, 7, 400])
@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
def test_streaming_lda_is_scikit_learns_fitted_on_all_at_once(chunk, shrinkage):
    f, labels = clusters()
    model = fed(StreamingLDA(12, 5, shrinkage=shrinkage), f, labels, chunk)
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.0, priors=[0.2] * 5).fit(f.numpy().astype(np.float64), labels.numpy())
    torch.testing.assert_close(model.scatter / model.number, torch.from_numpy(peer.covariance_))
    shrunk = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=[0.2] * 5).fit(
        f.numpy().astype(np.float64), labels.numpy()
    )
    other, _ = clusters(seed=1)
    scores = torch.from_numpy(shrunk.decision_function(other.numpy().astype(np.float64)))
    torch.testing.assert_close(model(other).log_softmax(1), scores.log_softmax(1), rtol=1e-6, atol=1e-6)


def test_the_order_of_classes_does_not_matter():
    f, labels = clusters()
    by_class = labels.argsort(stable=True)
    for make in (lambda: NearestMean(12, 5), lambda: StreamingLDA(12, 5, shrinkage=0.1)):
        one, other = fed(make(), f[by_class], labels[by_class], 50), fed(make(), f[by_class.flip(0)], labels[by_class.flip(0)], 50)
        torch.testing.assert_close(one(f), other(f))


def test_classes_not_seen_are_never_answered():
    f, labels = clusters()
    early = labels < 2
    for model in (NearestMean(12, 5), StreamingLDA(12, 5, shrinkage=0.5)):
        model.add(f[early], labels[early])
        assert (model(f)[:, 2:] == -torch.inf).all()
        assert model(f).argmax(1).max() == 1


def test_after_a_restart_the_covariance_is_the_new_classes_alone_and_means_stay():
    f, labels = clusters()
    model, alone = StreamingLDA(12, 5, shrinkage=0.1), StreamingLDA(12, 5, shrinkage=0.1)
    early = labels < 3
    model.add(f[early], labels[early])
    before = model.means[:3].clone()
    model.restart()
    for each in (model, alone):
        each.add(f[~early], labels[~early])
    torch.testing.assert_close(model.scatter, alone.scatter)
    assert torch.equal(model.means[:3], before)
    assert model.number == alone.number == int((~early).sum())


def test_what_it_cannot_take_is_refused():
    model = NearestMean(3, 2)
    for f, labels, said in (
        (torch.zeros(2, 4), torch.zeros(2).long(), r"features \[N, 3\]"),
        (torch.zeros(2, 3), torch.zeros(2), "labels i64"),
        (torch.zeros(2, 3), torch.tensor([0, 2]), "between 0 and 1, 0 to 2"),
    ):
        with pytest.raises(ValueError, match=said):
            model.add(f, labels)
    with pytest.raises(ValueError, match="from 1 up"):
        NearestMean(0, 2)
    with pytest.raises(ValueError, match=r"shrinkage in \[0, 1\], 2 was"):
        StreamingLDA(3, 2, shrinkage=2)
