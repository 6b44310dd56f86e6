import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from neuropil.learning import ridge


@pytest.mark.parametrize("penalty", [1e-6, 1.0, 100.0])
def test_scikit_learns_ridge(penalty):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 6)) + 2, rng.normal(size=(80, 3)) - 1
    peer = Ridge(alpha=penalty, solver="cholesky").fit(x, y)
    weight, bias = ridge(torch.from_numpy(x), torch.from_numpy(y), penalty)
    np.testing.assert_allclose(weight, peer.coef_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(bias, peer.intercept_, rtol=1e-8)


def test_leading_axes_are_fits_of_their_own():
    x, y = torch.randn(4, 50, 3, dtype=torch.float64), torch.randn(4, 50, 2, dtype=torch.float64)
    weight, bias = ridge(x, y, 0.5)
    for k in range(4):
        alone = ridge(x[k], y[k], 0.5)
        torch.testing.assert_close((weight[k], bias[k]), alone)


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="penalty is 0 or more"):
        ridge(torch.zeros(3, 2), torch.zeros(3, 1), -1)
    with pytest.raises(ValueError, match="of as many samples"):
        ridge(torch.zeros(3, 2), torch.zeros(4, 1), 1)
