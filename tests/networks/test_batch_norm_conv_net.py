"""BatchNormConvNet: what it computes by hand, its shapes and its initial law."""

import pytest
import torch
from torch.nn import functional as F

from neuropil.networks import BatchNormConvNet


def test_it_is_convolution_normalisation_and_rectification_by_hand():
    net = BatchNormConvNet(2, 9, 3, (4, 5), (5, 3), generator=torch.Generator().manual_seed(0)).double()
    x = torch.randn(6, 2, 9, 9, dtype=torch.float64)
    h = x
    for conv, pad in ((net.blocks.conv1, 2), (net.blocks.conv2, 1)):
        h = F.conv2d(h, conv.weight, stride=2, padding=pad)
        h = (h - h.mean((0, 2, 3), keepdim=True)) / (h.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
        h = h.relu()
    torch.testing.assert_close(net(x), h.flatten(1) @ net.readout.weight.mT)
    assert h.shape == (6, 5, 3, 3)


def test_weights_begin_with_their_declared_variance():
    net = BatchNormConvNet(3, 32, 10, (64, 64), (7, 3), generator=torch.Generator().manual_seed(1))
    assert net.blocks.conv1.weight.var().item() == pytest.approx(2 / 147, rel=0.05)
    assert net.blocks.conv2.weight.var().item() == pytest.approx(2 / 576, rel=0.05)
    assert net.readout.weight.var().item() == pytest.approx(1 / 4096, rel=0.05)


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="an odd kernel a width"):
        BatchNormConvNet(kernels=(4, 3))
    with pytest.raises(ValueError, match="numbers from 1 up"):
        BatchNormConvNet(classes=0)
    with pytest.raises(ValueError, match="takes pictures"):
        BatchNormConvNet()(torch.zeros(2, 28, 28))
