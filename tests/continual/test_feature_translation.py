import pytest
import torch
from scipy.spatial.distance import cdist

from neuropil.continual import translate_features

DRAWS = torch.Generator().manual_seed(0)
F = torch.randn(90, 6, generator=DRAWS, dtype=torch.float64) * torch.rand(6, generator=DRAWS, dtype=torch.float64)
LABELS = torch.arange(90) % 3 + 4
MEANS = torch.randn(7, 6, generator=DRAWS, dtype=torch.float64)
F += MEANS[LABELS]


@pytest.mark.parametrize("rank", [0, 1, -1])
def test_pseudo_features_have_the_stored_mean_and_the_sources_covariance(rank):
    made = translate_features(F, LABELS, MEANS, (0, 2, 3), rank)
    own = torch.stack([F[c == LABELS].mean(0) for c in (4, 5, 6)])
    nearness = cdist(MEANS[[0, 2, 3]].numpy(), own.numpy()).argsort(1)
    assert made.source.tolist() == [4 + int(k) for k in nearness[:, rank]]
    assert made.labels.tolist() == [0] * 30 + [2] * 30 + [3] * 30
    for c, source in zip((0, 2, 3), made.source, strict=True):
        mine = made.features[made.labels == c]
        torch.testing.assert_close(mine.mean(0), MEANS[c])
        torch.testing.assert_close(mine.mT.cov(), F[source == LABELS].mT.cov())


def test_three_points_by_hand():
    f = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 9.0]])
    made = translate_features(f, torch.tensor([1, 1, 2]), torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]), (0,))
    assert made.source.tolist() == [1]
    assert made.features.tolist() == [[-1.0, 1.0], [1.0, 1.0]]


def test_what_cannot_be_translated_is_refused():
    for arguments, said in (
        ((F, LABELS, MEANS, (0, 4)), "Class 4 is among the old and the new"),
        ((F, LABELS, MEANS, (0,), 3), "one of 3 new classes"),
        ((F, LABELS.float(), MEANS, (0,)), "labels i64"),
        ((F, LABELS, MEANS[:, :2], (0,)), "means"),
    ):
        with pytest.raises(ValueError, match=said):
            translate_features(*arguments)
