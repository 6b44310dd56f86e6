import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from neuropil.continual import ProductQuantizer

DRAWS = torch.Generator().manual_seed(0)
X = torch.randn(400, 6, generator=DRAWS) * torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0, 1.0])


def fitted(codebooks, entries, x=X, seed=1, **settings):
    quantizer = ProductQuantizer(x.shape[1], codebooks, entries)
    quantizer.fit(x, generator=torch.Generator().manual_seed(seed), **settings)
    return quantizer


def lost(quantizer, x=X):
    return float((quantizer.decode(quantizer.encode(x)) - x).square().sum())


@pytest.mark.parametrize("codebooks", [1, 2, 3])
def test_lloyds_rounds_are_scikit_learns_from_the_same_seeding(codebooks):
    seeded, found = fitted(codebooks, 7, rounds=0), fitted(codebooks, 7, rounds=300)
    for part, start, centres in zip(X.double().chunk(codebooks, 1), seeded.centroids, found.centroids, strict=True):
        peer = KMeans(7, init=start.double().numpy(), n_init=1, max_iter=300, tol=0.0).fit(part.numpy())
        assert len(set(peer.labels_)) == 7  # where a cluster falls empty the two differ
        np.testing.assert_allclose(centres.numpy(), peer.cluster_centers_, atol=1e-5)


def test_codes_are_the_nearest_by_loops_and_decoding_looks_them_up():
    quantizer = fitted(3, 5)
    codes = quantizer.encode(X.view(4, 100, 6))
    assert codes.shape == (4, 100, 3)
    assert codes.dtype == torch.uint8
    centres, rows = quantizer.centroids.numpy(), X.numpy()
    for row, own in zip(rows, codes.view(-1, 3).numpy(), strict=True):
        for i in range(3):
            assert own[i] == np.argmin([((row[2 * i : 2 * i + 2] - c) ** 2).sum() for c in centres[i]])
    back = quantizer.decode(codes).view(-1, 6).numpy()
    by_hand = [np.concatenate([centres[i][own[i]] for i in range(3)]) for own in codes.view(-1, 3).numpy()]
    np.testing.assert_array_equal(back, by_hand)


def test_as_many_entries_as_distinct_parts_lose_nothing():
    """Four points of a square, each coordinate of which has two values: two codebooks of two, or one of four."""
    square = torch.tensor([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0], [3.0, 1.0]]).repeat(5, 1)
    for codebooks, entries in ((2, 2), (1, 4)):
        assert lost(fitted(codebooks, entries, square), square) == 0


def test_two_clusters_have_the_closed_form():
    """Two far pairs on a line: the centres are their middles, and what is lost is the spread within."""
    x = torch.tensor([[0.0], [1.0], [10.0], [12.0]])
    quantizer = fitted(1, 2, x)
    assert sorted(quantizer.centroids.flatten().tolist()) == [0.5, 11.0]
    assert lost(quantizer, x) == 2 * 0.25 + 2 * 1.0


def test_distortion_falls_with_codebooks_entries_and_rounds():
    by_books = [lost(fitted(codebooks, 8)) for codebooks in (1, 2, 3, 6)]
    by_entries = [lost(fitted(2, entries)) for entries in (2, 4, 8, 16)]
    by_rounds = [lost(fitted(2, 8, rounds=rounds)) for rounds in (0, 1, 3, 20)]
    for falling in (by_books, by_entries, by_rounds):
        assert falling == sorted(falling, reverse=True)
        assert len(set(falling)) == 4


def test_seeding_prefers_what_is_far():
    """One point far away among 200 equal ones: k-means++ takes it as its second centre, always."""
    x = torch.cat([torch.zeros(200, 1), torch.full((1, 1), 5.0)])
    for seed in range(10):
        assert sorted(fitted(1, 2, x, seed, rounds=0).centroids.flatten().tolist()) == [0.0, 5.0]


def test_bytes_and_buffers():
    quantizer = fitted(2, 8)
    assert quantizer.codebook_bytes == 2 * 8 * 3 * 4
    assert quantizer.half().codebook_bytes == 2 * 8 * 3 * 2
    other = ProductQuantizer(6, 2, 8)
    other.load_state_dict(fitted(2, 8).state_dict())
    assert torch.equal(other.encode(X), fitted(2, 8).encode(X))
    assert other.encode(X[:0]).shape == (0, 2)


def test_what_it_cannot_take_is_refused():
    quantizer = fitted(2, 8)
    for call, said in (
        (lambda: ProductQuantizer(6, 4), "6 channels and 4 codebooks"),
        (lambda: ProductQuantizer(6, 2, 257), "257 were given"),
        (lambda: quantizer.encode(X[:, :4]), r"\[..., 6\]"),
        (lambda: quantizer.encode(X.long()), "int64"),
        (lambda: quantizer.decode(torch.zeros(3, 3, dtype=torch.uint8)), r"u8 \[..., 2\]"),
        (lambda: quantizer.decode(torch.full((3, 2), 8, dtype=torch.uint8)), "below 8, 8 was given"),
        (lambda: fitted(1, 3, X[:2]), "3 entries needs as many distinct parts to learn from, 2 were given"),
        (lambda: fitted(1, 3, X[:0]), "0 were given"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
