"""Networks as they are trained: delays of synapses, batch normalisation, dropout; what NIR splits comes back as one."""

import numpy as np
import pytest
import torch
from torch import nn

from neuropil.cells import LI, LIF
from neuropil.dynamics import Chain, leaves
from neuropil.exchange import from_nir, to_nir
from neuropil.networks import SpikingNet
from neuropil.synapses import DelayedLinear, Dense

nir = pytest.importorskip("nir")


def drive(*shape, seed=0):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.3).float()


def spiking_net(discrete):
    torch.manual_seed(0)
    net = SpikingNet([6, 9, 3], dt=1e-3, max_delay=5, dropout=0.2)
    net(drive(40, 8, 6))
    with torch.no_grad():
        net.norm1.weight.uniform_(2, 3)
        net.norm1.bias.uniform_(0, 1)
    for synapse in net.synapses():
        synapse.anneal(0.5)
        if discrete:
            synapse.discretise_()
    return net.eval()


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("scheme", ["exact", "euler"])
def test_a_spiking_net_with_delays_keeps_its_trace_and_its_parts(discrete, scheme, tmp_path):
    net, x = spiking_net(discrete), drive(50, 2, 6, seed=1)
    nir.write(tmp_path / "net.nir", to_nir(net, scheme=scheme))
    again = from_nir(nir.read(tmp_path / "net.nir")).eval()
    y, s = net(x)
    y2, s2 = again(x)
    assert 0 < net.lif1(net.norm1(net.synapse1(x)[0].flatten(0, 1)).unflatten(0, (50, 2)))[0].mean() < 1
    torch.testing.assert_close(y2, y, rtol=1e-4, atol=1e-5)
    assert isinstance(again.synapse1, DelayedLinear)
    assert isinstance(again.lif1, LIF)
    assert isinstance(again.readout, LI)
    for (_, one), (_, two) in zip(leaves(s), leaves(s2), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("discrete", [False, True])
def test_readers_that_know_nothing_of_us_get_the_delays_from_the_nodes_alone(discrete):
    net, x = spiking_net(discrete), drive(50, 2, 6, seed=1)
    synapse = net.synapse1
    graph = to_nir(synapse, dt=1e-3)
    delays = [node for node in graph.nodes.values() if isinstance(node, nir.Delay)]
    assert len(delays) <= (len(synapse.delay.unique()) if discrete else synapse.max_delay)
    y = torch.zeros(50, 2, 9)
    for name, node in graph.nodes.items():  # the sum over paths, by hand
        if isinstance(node, nir.Linear):
            (source,) = (a for a, b in graph.edges if b == name)
            k = 0 if source == "input" else round(float(graph.nodes[source].delay[0]) / 1e-3)
            y[k:] += x[: len(x) - k] @ torch.from_numpy(node.weight).mT
    torch.testing.assert_close(y, synapse(x)[0])
    graph.metadata.clear()
    stranger = from_nir(graph, dt=1e-3)
    assert not isinstance(stranger, DelayedLinear)
    torch.testing.assert_close(stranger(x)[0], synapse(x)[0])


def test_a_graph_with_delays_that_was_changed_is_read_as_it_stands():
    synapse, x = DelayedLinear(3, 2, max_delay=4), drive(20, 3)
    graph = to_nir(synapse, dt=1e-3)
    assert torch.equal(from_nir(graph).delay, synapse.delay)
    graph.nodes["weight2"].weight *= 2
    changed = from_nir(graph)
    assert not isinstance(changed, DelayedLinear)
    kernel = synapse.kernel().detach().clone()
    kernel[..., 2] *= 2
    padded = torch.cat((torch.zeros(4, 3), x))
    expected = torch.stack([torch.einsum("mnk,kn->m", kernel.flip(-1), padded[t : t + 5]) for t in range(20)])
    torch.testing.assert_close(changed(x)[0], expected)


def test_what_was_learnable_and_how_wide_comes_back():
    synapse = DelayedLinear(3, 2, max_delay=4, learnable=False, width=1.25).double()
    again = from_nir(to_nir(synapse, dt=1e-3))
    assert again.weight.dtype == torch.float64
    assert not isinstance(again.delay, nn.Parameter)
    assert float(again.width) == 1.25
    again.anneal(1.0)
    synapse.anneal(1.0)
    assert torch.equal(again.kernel(), synapse.kernel())


def test_without_a_dt_delays_are_refused_and_given_twice_they_must_agree():
    with pytest.raises(ValueError, match=r"^DelayedLinear cannot be written for NIR: its delays are in steps.*; give to_nir the dt\.$"):
        to_nir(DelayedLinear(3, 2, max_delay=4))
    with pytest.raises(ValueError, match=r"give all of them the same dt"):
        to_nir(LIF(4, dt=1e-3), dt=2e-3)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(4)])
def test_modules_in_training_are_refused_and_at_rest_are_written(layer):
    net = Chain(Dense(5, 4), layer, LIF(4, dt=1e-3))
    with pytest.raises(ValueError, match=r"^\w+ cannot be written for NIR: in training .*; call model\.eval\(\) first\.$"):
        to_nir(net)
    x = 4 * drive(40, 2, 5)
    net.eval()
    torch.testing.assert_close(from_nir(to_nir(net))(x)[0], net(x)[0])
    with pytest.raises(ValueError, match=r"keeps no running mean"):
        to_nir(Chain(Dense(5, 4), nn.BatchNorm1d(4, track_running_stats=False), LIF(4, dt=1e-3)).eval())


def test_what_from_nir_made_can_be_written_again():
    one = np.ones(3)
    branch = {name: nir.LI(tau=tau * one, r=one, v_leak=0 * one) for name, tau in (("slow", 0.05), ("fast", 0.01))}
    nodes = {"input": nir.Input(np.array([3])), **branch, "output": nir.Output(np.array([3]))}
    graph = nir.NIRGraph(nodes, [("input", "slow"), ("input", "fast"), ("slow", "output"), ("fast", "output")])
    once = from_nir(graph, dt=1e-3)
    x = drive(30, 3)
    torch.testing.assert_close(from_nir(to_nir(once))(x)[0], once(x)[0])
    torch.testing.assert_close(once(x)[0], sum(from_nir(nir.NIRGraph.from_list(node), dt=1e-3)(x)[0] for node in branch.values()))


def test_a_chain_with_steps_of_its_own_is_refused():
    class Twice(Chain):
        def forward(self, x, s=None, **along):
            y, s = super().forward(x, s, **along)
            return 2 * y, s

    with pytest.raises(ValueError, match=r"^Twice cannot be written for NIR: it is a Chain with steps of its own; write the Chain\.$"):
        to_nir(Twice(Dense(4, 4), LIF(4, dt=1e-3)))
