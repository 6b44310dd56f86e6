import pytest
import torch

from neuropil.cells import EchoUnit


def test_the_mean_of_the_past_weighted_exponentially():
    x = torch.randn(30, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y, s = EchoUnit(3, leak=0.25).double()(x)
    weights = 0.25 * 0.75 ** torch.arange(29, -1, -1, dtype=torch.float64)
    torch.testing.assert_close(y[-1], torch.einsum("t,tbn->bn", weights, x.tanh()))
    torch.testing.assert_close(s.r, y[-1])


def test_without_leak_it_is_its_activation():
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(EchoUnit(4, activation=torch.sigmoid)(x)[0], x.sigmoid())


def test_each_unit_may_have_its_leak_and_none_above_1():
    y, _ = EchoUnit(2, leak=[1.0, 0.5])(torch.ones(1, 2))
    torch.testing.assert_close(y[0], torch.tensor([1.0, 0.5]) * torch.tanh(torch.tensor(1.0)))
    with pytest.raises(ValueError, match="at most 1"):
        EchoUnit(2, leak=1.5)
