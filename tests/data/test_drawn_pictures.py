import numpy as np
import pytest
import torch

from neuropil.data import draw_pictures, load


def rows(x):
    return {tuple(np.round(row, 3)) for row in x.flatten(1).numpy()}


def test_sets_are_disjoint_and_on_the_training_sets_scale():
    drawn = draw_pictures("digits", (900, 200, 300), np.random.default_rng(0))
    assert [tuple(x.shape) for x, _ in drawn] == [(900, 8, 8), (200, 8, 8), (300, 8, 8)]
    assert drawn.train[0].mean() == pytest.approx(0, abs=1e-5)
    assert drawn.train[0].std() == pytest.approx(1, abs=1e-5)
    every = [rows(x) for x, _ in drawn]
    assert len(set.union(*every)) == sum(map(len, every))


def test_a_picture_keeps_its_label():
    drawn, digits = draw_pictures("digits", (900, 200, 300), np.random.default_rng(0)), load("digits")
    x, y = drawn.test
    flat = digits.images.reshape(1797, 64).astype(np.float32)
    for picture, label in zip(x[:50].flatten(1).numpy(), y[:50].tolist(), strict=True):
        alike = np.array([np.corrcoef(picture, one)[0, 1] for one in flat])
        assert alike.max() == pytest.approx(1, abs=1e-5)
        assert digits.labels[alike.argmax()] == label


def test_a_seed_draws_the_same_again_and_another_draws_others():
    one, again, other = (draw_pictures("digits", (50, 10, 10), np.random.default_rng(seed)).train[0] for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_what_it_cannot_draw_is_refused():
    for name, sizes, said in (
        ("cifar10", (1, 1, 1), "'mnist' or 'digits'"),
        ("digits", (1, 1), "three sizes"),
        ("digits", (1700, 90, 90), "1797"),
    ):
        with pytest.raises(ValueError, match=said):
            draw_pictures(name, sizes, np.random.default_rng(0))
