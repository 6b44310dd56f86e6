"""The cell conforms, and does what its equation says."""

import pytest
import torch
from neuropil.testing import Check, checks

from my_part import MyPart


@pytest.mark.parametrize("check", checks(MyPart), ids=str)
def test_conforms(check: Check) -> None:
    """The suite that the library's own cells pass."""
    check()


def test_the_slow_current_is_the_closed_form() -> None:
    """A current that decays by d holds the sum of d ** age over all spikes."""
    cell = MyPart(1, dt=1e-3).double()
    y, s = cell(torch.full((500, 1), 0.3, dtype=torch.float64))
    age = torch.arange(499, -1, -1, dtype=torch.float64)
    expected = (y[:, 0] * torch.exp(-1e-3 * age / 0.1)).sum()
    assert y.sum() > 5
    torch.testing.assert_close(s.a[0], expected, rtol=1e-6, atol=0)


def test_it_fires_less_the_stronger_it_is() -> None:
    x = torch.full((1000, 1), 0.3)
    rates = [
        float(MyPart(1, dt=1e-3, strength=strength)(x)[0].mean())
        for strength in (0.0, 0.1, 0.4)
    ]
    assert rates[0] > rates[1] > rates[2] > 0
