import math

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles as by_scipy

from neuropil.geometry import subspace_angles


@pytest.mark.parametrize(("k", "other"), [(1, 1), (2, 5), (4, 3)])
def test_angles_are_scipys(k, other):
    drawn = torch.Generator().manual_seed(k)
    a, b = (torch.randn(n, 9, generator=drawn, dtype=torch.float64) for n in (k, other))
    found = subspace_angles(a, b)
    np.testing.assert_allclose(found.numpy(), by_scipy(a.numpy().T, b.numpy().T)[::-1], rtol=1e-9)


def test_planes_that_share_a_line_and_turn_about_it():
    turned = 1e-6
    a = torch.tensor([[1.0, 0, 0], [0, 1, 0]], dtype=torch.float64)
    b = torch.tensor([[2.0, 0, 0], [1, math.cos(turned), math.sin(turned)]], dtype=torch.float64)
    torch.testing.assert_close(subspace_angles(a, b), torch.tensor([0.0, turned], dtype=torch.float64), rtol=1e-8, atol=1e-12)
    assert float(subspace_angles(a[:1], a[1:])) == pytest.approx(math.pi / 2)


def test_random_directions_in_many_dimensions_are_near_orthogonal():
    a, b = torch.randn(2, 50, 1, 4000, generator=torch.Generator().manual_seed(0))
    assert (subspace_angles(a, b) * 180 / math.pi).min() > 85


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="with K, L up to N"):
        subspace_angles(torch.ones(2, 3), torch.ones(2, 4))
    with pytest.raises(ValueError, match="with K, L up to N"):
        subspace_angles(torch.ones(4, 3), torch.ones(1, 3))
