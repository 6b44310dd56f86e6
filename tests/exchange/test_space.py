"""Convolutions, pooling and flattening: there and back, against sums written out, and what has no node is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from neuropil.cells import LI, LIF
from neuropil.dynamics import Chain, leaves
from neuropil.exchange import Membrane, from_nir, to_nir
from neuropil.synapses import Conv, Dense

nir = pytest.importorskip("nir")


def pictures(*shape):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(0)) < 0.4).float()


@pytest.mark.parametrize("scheme", ["exact", "euler"])
def test_a_spiking_convolutional_network_keeps_its_trace_through_a_file(scheme, tmp_path):
    torch.manual_seed(0)
    net = Chain(
        Conv(2, 4, 3, gain=2.0),
        LIF(dt=1e-3, reset="hard"),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 3, 3, stride=2, padding=1),
        LIF(dt=1e-3, threshold=0.3),
        nn.Flatten(),
        Dense(3 * 2 * 3, 5),
        readout=LI(5, dt=1e-3),
    )
    x = pictures(30, 2, 2, 8, 10)
    nir.write(tmp_path / "cnn.nir", to_nir(net, size=(2, 8, 10), scheme=scheme))
    again = from_nir(nir.read(tmp_path / "cnn.nir"))
    (y, s), (y2, s2) = net(x), again(x)
    assert y.abs().sum() > 0
    torch.testing.assert_close(y2, y, rtol=1e-4, atol=1e-5)
    for (_, one), (_, two) in zip(leaves(s), leaves(s2), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (Conv(3, 2, 3, stride=2, padding=0), (3, 7, 6)),
        (Conv(3, 2, 5, dims=1), (3, 9)),
        (nn.Conv1d(3, 2, 3, dilation=2, padding=2), (3, 9)),
        (nn.Conv2d(3, 2, 3, stride=(1, 2), padding=(2, 0), dilation=(1, 2)), (3, 7, 8)),
        (nn.Conv2d(3, 2, 3, padding="same", bias=False), (3, 7, 6)),
        (nn.AvgPool2d(3, stride=2, padding=1), (3, 7, 6)),
        (nn.AvgPool2d((2, 3)), (3, 8, 6)),
        (nn.Flatten(), (3, 7, 6)),
        (nn.Flatten(2), (3, 7, 6)),
        (nn.Flatten(1, -2), (3, 7, 6)),
        (nn.Flatten(-3, 2), (3, 7, 6)),
    ],
)
def test_layers_come_back_with_their_function(layer, size, tmp_path):
    nir.write(tmp_path / "one.nir", to_nir(layer, size=size))
    x = torch.rand(4, 2, *size)
    again = from_nir(nir.read(tmp_path / "one.nir"))
    torch.testing.assert_close(again(x)[0], layer(x.flatten(0, 1)).unflatten(0, (4, 2)))


def test_the_nodes_of_others_are_read_by_their_equation():
    weight, bias = np.random.default_rng(0).normal(size=(2, 3, 3, 3)), np.array([0.5, -1.0])
    conv = nir.Conv2d(input_shape=(6, 6), weight=weight, stride=1, padding=0, dilation=1, groups=1, bias=bias)
    pool = nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0]))
    every = np.ones((2, 2, 2))
    neuron = nir.IF(r=1000 * every, v_threshold=3 * every, v_reset=0 * every)
    net = from_nir(nir.NIRGraph.from_list(conv, pool, neuron), dt=1e-3, dtype=torch.float64)
    x = torch.rand(5, 2, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        y, s = net(x)
    v = np.zeros((2, 2, 2, 2))
    for t, moment in enumerate(x.numpy()):
        windows = np.lib.stride_tricks.sliding_window_view(moment, (3, 3), axis=(2, 3))
        current = np.einsum("bchwij,mcij->bmhw", windows, weight) + bias[:, None, None]
        v = v + current.reshape(2, 2, 2, 2, 2, 2).sum((3, 5))
        spikes = v >= 3
        assert (y[t].numpy() == spikes).all()
        v[spikes] = 0
    assert 0 < y.mean() < 1
    np.testing.assert_allclose(s.layers[-1].v.numpy(), v)
    assert isinstance(net.layers[-1], Membrane)


@pytest.mark.parametrize(
    ("layer", "size", "reason"),
    [
        (Conv(3, 2), None, r"the shape of its input is not known; give to_nir size="),
        (nn.Conv2d(4, 4, 3, groups=2), (4, 5, 5), r"one group"),
        (nn.Conv2d(4, 4, (1, 3)), (4, 5, 5), r"square kernels"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), (4, 5, 5), r"padding by 0"),
        (nn.Conv2d(4, 4, 3), (3, 5, 5), r"takes \[4 channels, 2 axes of space\], \[3, 5, 5\] arrives"),
        (nn.AvgPool2d(2, ceil_mode=True), (4, 5, 5), r"use its defaults"),
        (nn.Flatten(0), (4, 5, 5), r"begin at axis 1"),
        (nn.MaxPool2d(2), (4, 5, 5), r"no node of NIR"),
    ],
)
def test_what_has_no_node_is_refused_in_one_sentence(layer, size, reason):
    with pytest.raises(ValueError, match=rf"^\w+ .*{reason}.*\.$"):
        to_nir(layer, size=size)


def test_neurons_that_differ_between_channels_are_refused():
    tau = np.full((2, 3, 3), 0.02)
    tau[1] = 0.03
    one = np.ones_like(tau)
    graph = nir.NIRGraph.from_list(nir.LI(tau=tau, r=one, v_leak=0 * one))
    with pytest.raises(ValueError, match=r"^tau of node .* of shape \[2, 3, 3\] differs between channels; accepted are .*\.$"):
        from_nir(graph, dt=1e-3)
