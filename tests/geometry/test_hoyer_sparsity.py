import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from neuropil.geometry import hoyer_sparsity, population_sparsity


@given(n=st.integers(2, 60), data=st.data(), scale=st.sampled_from([1e-30, 1.0, 3.7, 1e30]))
def test_k_hot_closed_form(n, data, scale):
    k = data.draw(st.integers(1, n))
    x = torch.zeros(n, dtype=torch.float64)
    x[torch.randperm(n)[:k]] = scale
    expected = (math.sqrt(n) - math.sqrt(k)) / (math.sqrt(n) - 1)
    assert hoyer_sparsity(x).item() == pytest.approx(expected, abs=1e-12)


def test_ends_are_one_hot_and_constant():
    assert hoyer_sparsity(torch.eye(5, dtype=torch.float64)[2]).item() == pytest.approx(1.0)
    assert hoyer_sparsity(torch.full((5,), -2.0, dtype=torch.float64)).item() == pytest.approx(0.0, abs=1e-12)


def test_hand_worked_vector_and_dims():
    x = torch.tensor([[3.0, 0.0], [4.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    # column 0: L1 = 7, L2 = 5, n = 4: (2 - 7/5) / (2 - 1) = 0.6; column 1 is one-hot
    assert_close(hoyer_sparsity(x, dim=0), torch.tensor([0.6, 1.0], dtype=torch.float64))


@given(st.floats(1e-3, 1e3), st.integers(0, 2**31))
def test_scale_and_sign_do_not_matter(scale, seed):
    x = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert_close(hoyer_sparsity(-scale * x), hoyer_sparsity(x))


def test_zero_vector_has_no_sparsity():
    assert math.isnan(hoyer_sparsity(torch.zeros(4)).item())


def test_one_entry_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        hoyer_sparsity(torch.ones(3, 1))


def test_population_leaves_out_dead_units_and_silent_items():
    h = torch.zeros(4, 6)
    h[0, 0], h[1, 1], h[2, :4] = 2.0, 5.0, 1.0  # units 4 and 5 are dead, item 3 is silent
    found = population_sparsity(h)
    assert found.live_units == pytest.approx((1 + 1 + 0) / 3, abs=1e-6)
    r6 = math.sqrt(6)
    assert found.all_units == pytest.approx((1 + 1 + (r6 - 2) / (r6 - 1)) / 3, abs=1e-6)
    assert found.dead_share == pytest.approx(2 / 6)
    assert found.silent_share == pytest.approx(1 / 4)


def test_population_without_two_live_units():
    found = population_sparsity(torch.zeros(3, 4))
    assert math.isnan(found.live_units)
    assert math.isnan(found.all_units)
    assert (found.dead_share, found.silent_share) == (1.0, 1.0)
    one = torch.zeros(3, 4)
    one[:, 1] = 1.0
    assert math.isnan(population_sparsity(one).live_units)
    assert population_sparsity(one).all_units == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(3,), (0, 4), (4, 1), (2, 2, 2)])
def test_population_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="items by units"):
        population_sparsity(torch.ones(shape))
