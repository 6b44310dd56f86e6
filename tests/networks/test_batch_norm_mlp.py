import pytest
import torch
from torch import nn

from neuropil.networks import BatchNormMLP
from neuropil.synapses import Dense


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_by_hand():
    net = BatchNormMLP([4, 6, 3], generator=generator())
    x = torch.randn(50, 4, generator=generator(1))
    h = x @ net.layers.layer1.weight.T + net.layers.layer1.bias
    h = ((h - h.mean(0)) / (h.var(0, unbiased=False) + 1e-5).sqrt()).relu()
    torch.testing.assert_close(net(x), h @ net.layers.readout.weight.T + net.layers.readout.bias)
    assert [name for name, _ in net.layers.named_children()] == ["layer1", "norm1", "activation1", "readout"]


def test_layers_and_activation_are_the_callers_and_one_layer_is_linear():
    net = BatchNormMLP([4, 6, 5, 3], layer=Dense, activation=nn.Tanh)
    assert isinstance(net.layers.layer2, Dense)
    assert isinstance(net.layers.activation1, nn.Tanh)
    bare = BatchNormMLP([4, 3], generator=generator())
    x = torch.randn(2, 4, generator=generator(1))
    torch.testing.assert_close(bare(x), x @ bare.layers.readout.weight.T)


def test_start_has_the_declared_variances():
    net = BatchNormMLP([400, 300, 200], generator=generator())
    for weight, variance in ((net.layers.layer1.weight, 2 / 400), (net.layers.readout.weight, 1 / 300)):
        assert abs(weight.var().item() - variance) < 5 * variance * (2 / weight.numel()) ** 0.5


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="at least two sizes"):
        BatchNormMLP([3])
    with pytest.raises(ValueError, match="width of a layer"):
        BatchNormMLP([3, 0, 2])
    with pytest.raises(ValueError, match=r"takes inputs \[B, 4\]"):
        BatchNormMLP([4, 2])(torch.zeros(4))
