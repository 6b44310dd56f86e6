"""Oja: the first principal component by numpy's eigendecomposition, unit length, and one step by hand."""

import numpy as np
import pytest
import torch

from neuropil.plasticity import Oja


def test_it_finds_the_first_principal_component_at_unit_length():
    random = np.random.default_rng(0)
    basis, _ = np.linalg.qr(random.normal(size=(5, 5)))
    x = random.normal(size=(4000, 5)) * np.sqrt([3.0, 1.5, 0.8, 0.4, 0.2]) @ basis.T
    _, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    first = vectors[:, -1]
    _, s = Oja(5, 2, rate=0.002, generator=torch.Generator().manual_seed(1)).double()(torch.from_numpy(x))
    w = s.w.detach().numpy()
    for row in w:
        assert abs(row @ first) / np.linalg.norm(row) > 0.995
        assert np.linalg.norm(row) == pytest.approx(1, abs=0.02)


def test_the_decay_bounds_the_weight_whatever_the_variance():
    x = torch.randn(3000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4
    _, s = Oja(1, 1, rate=0.002, weight=torch.full((1, 1), 0.1)).double()(x)
    assert s.w.item() == pytest.approx(1, rel=1e-3)


def test_one_step_by_hand():
    weight = torch.tensor([[0.5, -1.0]], dtype=torch.float64)
    y, s = Oja(2, 1, rate=0.1, weight=weight).double().step(torch.tensor([2.0, 3.0], dtype=torch.float64))
    assert y.item() == -2.0
    expected = [0.5 + 0.1 * -2 * (2 - -2 * 0.5), -1 + 0.1 * -2 * (3 - -2 * -1.0)]
    assert s.w.flatten().tolist() == pytest.approx(expected)


def test_post_and_modulator_by_hand():
    weight = torch.tensor([[0.5, -1.0]], dtype=torch.float64)
    x, post = torch.tensor([2.0, 3.0], dtype=torch.float64), torch.tensor([1.5], dtype=torch.float64)
    y, s = Oja(2, 1, rate=0.1, weight=weight).double().step(x, post=post, modulator=torch.tensor([-2.0], dtype=torch.float64))
    assert y.item() == -2.0
    expected = [0.5 - 0.2 * 1.5 * (2 - 1.5 * 0.5), -1 - 0.2 * 1.5 * (3 - 1.5 * -1.0)]
    assert s.w.flatten().tolist() == pytest.approx(expected)


def test_a_start_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"weight is \[1, 2\]"):
        Oja(2, 1, weight=torch.ones(2, 1))
