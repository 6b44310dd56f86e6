import numpy as np
import pytest
import torch
from scipy.ndimage import label

from neuropil.data import tetromino_scenes, tetromino_shapes
from neuropil.data.tetrominoes import COLOURS


def test_there_are_nineteen_shapes_of_four_joined_squares():
    shapes = tetromino_shapes()
    assert len({(shape.shape, shape.tobytes()) for shape in shapes}) == 19
    for shape in shapes:
        assert shape.sum() == 4
        assert label(shape)[1] == 1
        assert any(np.array_equal(np.rot90(shape), other) for other in shapes)
        assert any(np.array_equal(np.fliplr(shape), other) for other in shapes)


def test_every_object_is_whole_of_one_colour_and_on_black():
    images, objects = tetromino_scenes(60, np.random.default_rng(0), size=24, block=3)
    assert images.dtype == torch.float32
    assert images.shape == (60, 3, 24, 24)
    blocks = [np.kron(shape, np.ones((3, 3), bool)) for shape in tetromino_shapes()]
    seen = set()
    for image, scene in zip(images.numpy(), objects.numpy(), strict=True):
        assert (image[:, scene == 0] == 0).all()
        for number in (1, 2, 3):
            colours = {tuple(one) for one in image[:, scene == number].T.tolist()}
            assert len(colours) == 1
            assert colours <= set(COLOURS)
            rows, columns = np.nonzero(scene == number)
            cut = scene[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == number
            seen |= {k for k, block in enumerate(blocks) if np.array_equal(block, cut)}
            assert cut.sum() == 36
    assert len(seen) == 19


def test_distinct_colours_differ_and_others_may_not():
    for distinct in (True, False):
        images, objects = tetromino_scenes(200, np.random.default_rng(1), distinct=distinct)
        kinds = [len({tuple(image[:, scene == n][:, 0].tolist()) for n in (1, 2, 3)}) for image, scene in zip(images, objects, strict=True)]
        share = np.mean(np.array(kinds) == 3)
        assert share == 1 if distinct else abs(share - 5 * 4 / 36) < 0.12


def test_the_generator_decides_and_bad_settings_are_refused():
    a, b, c = (tetromino_scenes(3, np.random.default_rng(k))[0] for k in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert tetromino_scenes(0, np.random.default_rng(0))[1].shape == (0, 32, 32)
    with pytest.raises(ValueError, match="needs a size of 36"):
        tetromino_scenes(1, np.random.default_rng(0), block=9)
    with pytest.raises(ValueError, match="7 distinct"):
        tetromino_scenes(1, np.random.default_rng(0), objects=7, distinct=True)
