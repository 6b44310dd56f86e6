from __future__ import annotations

import numpy as np
import pytest

from neuropil.data import pool


def test_pool_averages_blocks() -> None:
    image = np.array([[[0, 2, 10, 10], [4, 6, 10, 30], [1, 0, 255, 255], [0, 0, 255, 255]]], np.uint8)
    np.testing.assert_array_equal(pool(image, 2), [[[3, 15], [0, 255]]])


def test_pool_keeps_channels_apart_and_agrees_with_torch() -> None:
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 3), np.uint8)
    pooled = torch.nn.functional.avg_pool2d(torch.tensor(images).permute(0, 3, 1, 2).double(), 2).permute(0, 2, 3, 1)
    np.testing.assert_array_equal(pool(images, 14), pooled.round().to(torch.uint8).numpy())


def test_pool_to_the_same_size_changes_nothing() -> None:
    images = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    np.testing.assert_array_equal(pool(images, 4), images)


@pytest.mark.parametrize(
    ("images", "size"), [(np.zeros((1, 28, 28)), 14), (np.zeros((28, 28), np.uint8), 14), (np.zeros((1, 28, 28), np.uint8), 13)]
)
def test_pool_says_what_it_takes(images: np.ndarray, size: int) -> None:
    with pytest.raises(ValueError, match=r"pool (takes|needs)"):
        pool(images, size)
