import pytest
import torch

from neuropil.cells import EchoUnit
from neuropil.networks import Reservoir, settle_inhibition
from neuropil.synapses import Dense, ExcitatoryInhibitory


def reservoir(n=60, gain=8.0, inhibition=1.0):
    draws = torch.Generator().manual_seed(0)
    synapse = ExcitatoryInhibitory(n, n, inputs=20, gain=gain, inhibition=inhibition, generator=draws)
    return Reservoir(EchoUnit(n, activation=torch.sigmoid), synapse, Dense(1, n, gain=0.1, generator=draws), bias=-2.0)


def noise(steps):
    return torch.randn(steps, 1, generator=torch.Generator().manual_seed(1))


def test_every_cell_ends_at_its_target_and_stays_there_when_frozen():
    net, target = reservoir(), torch.linspace(0.15, 0.3, 60)
    before, _ = net(noise(500))
    assert (before[100:, 0:1].mean((0, 1)) - target).abs().max() > 0.02
    settle_inhibition(net, noise(3000), target=target, rate=0.1)
    after, _ = net(noise(1500))
    torch.testing.assert_close(after[500:].mean(0), target, atol=0.02, rtol=0)


def test_only_inhibition_that_is_there_moves_and_none_becomes_excitation():
    net = reservoir(inhibition=2.0)
    synapse = net.network.synapse
    before = synapse.effective().clone()
    settle_inhibition(net, noise(200), target=0.2, rate=0.1)
    after, inhibits = synapse.effective(), synapse.inhibitory
    assert (after[:, ~inhibits] == before[:, ~inhibits]).all()
    assert (after[:, inhibits] != before[:, inhibits]).any()
    assert (after[:, inhibits] <= 0).all()
    assert (after[before == 0] == 0).all()


def test_at_rate_0_nothing_changes_and_rates_are_those_of_the_reservoir():
    net = reservoir()
    before = net.network.synapse.effective().clone()
    rates = settle_inhibition(net, noise(50), target=0.2, rate=0.0)
    torch.testing.assert_close(net.network.synapse.effective(), before)
    torch.testing.assert_close(rates, net(noise(50))[0], rtol=1e-4, atol=1e-5)


def test_other_connections_are_refused():
    with pytest.raises(TypeError, match="ExcitatoryInhibitory connections, Dense was given"):
        settle_inhibition(Reservoir.echo_state(4, 1), noise(3), target=0.1, rate=0.1)
