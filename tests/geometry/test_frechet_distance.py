import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from neuropil.geometry import frechet_distance


def test_it_is_the_formula_with_scipys_matrix_root():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(80, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)) + 1
    first, second = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    assert frechet_distance(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected, rel=1e-6)


def test_of_points_on_a_line_it_is_the_difference_of_means_and_of_spreads():
    a, b = torch.tensor([[0.0], [2.0], [4.0]]), torch.tensor([[10.0], [11.0], [12.0]])
    assert frechet_distance(a, b) == pytest.approx((11 - 2) ** 2 + (2 - 1) ** 2)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_bad_input():
    with pytest.raises(ValueError, match="two points"):
        frechet_distance(torch.ones(1, 2), torch.ones(4, 2))
