import math

import pytest
import torch

from neuropil.learning import nt_xent


def test_the_loss_is_the_sum_written_out():
    views = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = views.flatten(0, 1)
    z = z / z.norm(dim=1, keepdim=True)
    total = 0.0
    for i in range(10):
        terms = [math.exp(float(z[i] @ z[k]) / 0.3) for k in range(10)]
        total -= math.log(terms[(i + 5) % 10] / (sum(terms) - terms[i]))
    assert nt_xent(views, temperature=0.3).item() == pytest.approx(total / 10)


def test_equal_vectors_are_chance_and_separate_pairs_cost_nothing():
    assert nt_xent(torch.ones(2, 8, 4)).item() == pytest.approx(math.log(15), rel=1e-5)
    assert nt_xent(torch.eye(8).expand(2, 8, 8), temperature=0.02).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("shape", [(2, 1, 3), (3, 4, 3), (4, 3)])
def test_refusals(shape):
    with pytest.raises(ValueError, match="two views"):
        nt_xent(torch.zeros(shape))
    with pytest.raises(ValueError, match="temperature"):
        nt_xent(torch.zeros(2, 2, 2), temperature=0.0)
