from collections import Counter

import pytest
import torch
from scipy.stats import chisquare

from neuropil.continual import ActivationStore


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_levels_are_those_of_torchs_own_quantiser():
    x = drawn(25, 30)
    store = ActivationStore()
    store.put(3, x)
    scale = float((x.max() - x.min()) / 255)
    peer = torch.fake_quantize_per_tensor_affine(x - x.min(), scale, 0, 0, 255) + x.min()
    torch.testing.assert_close(store[3], peer, atol=1e-5, rtol=0)
    assert float((store[3] - x).abs().max()) <= scale / 2 * 1.001
    assert float(store[3].min()) == float(x.min())


def test_what_is_on_the_levels_comes_back_exactly_and_a_constant_too():
    store = ActivationStore()
    store.put(0, torch.arange(256.0).view(8, 32))
    assert torch.equal(store[0], torch.arange(256.0).view(8, 32))
    store.put(1, torch.full((4, 3), 0.7))
    assert torch.equal(store[1], torch.full((4, 3), 0.7))


def test_bytes_are_one_a_number_and_two_floats_a_class():
    store = ActivationStore()
    for label in (4, 2):
        store.put(label, drawn(25, 30))
    assert (store.bytes, store.labels, len(store)) == (2 * (750 + 8), [4, 2], 2)
    store.put(4, drawn(10, 30))
    assert store.bytes == 1050 + 16
    store.forget(2)
    assert (store.labels, store.bytes) == ([4], 308)


def test_draws_are_equal_over_classes_distinct_where_they_can_be_and_even():
    store = ActivationStore(generator=torch.Generator().manual_seed(0))
    for label in (1, 5, 7):
        store.put(label, torch.arange(6.0).view(6, 1) + 10 * label)
    found = Counter()
    for _ in range(500):
        x, y = store.draw(8, [1, 5, 7])
        assert y.bincount().tolist() == [0, 3, 0, 0, 0, 3, 0, 2]
        assert torch.equal((x[:, 0] / 10).floor().long(), y)
        assert len(x.unique()) == 8
        found.update(x[y == 1, 0].round().int().tolist())
    assert chisquare([found[10 + k] for k in range(6)]).pvalue > 0.01
    x, y = store.draw(40, [5])
    assert len(x) == 40 == len(y)
    assert len(x.unique()) <= 6


def test_what_it_cannot_take_is_refused():
    store = ActivationStore()
    store.put(0, drawn(3, 2))
    for call, said in (
        (lambda: store.put(1, torch.zeros(0, 2)), "one example or more"),
        (lambda: store.put(1, torch.full((2, 2), torch.nan)), "finite"),
        (lambda: store[1], "Nothing of class 1 is held; held are"),
        (lambda: store.forget(2), "class 2"),
        (lambda: store.draw(3, []), "one class or more"),
        (lambda: store.draw(0, [0]), "0 of"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
