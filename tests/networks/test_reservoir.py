import pytest
import torch
from torch import nn

from neuropil.cells import LIF, EchoUnit
from neuropil.learning import ridge
from neuropil.networks import Reservoir
from neuropil.observe import observe
from neuropil.synapses import Dense, ExcitatoryInhibitory, Recurrent


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_by_hand_and_step_is_sequence():
    net = Reservoir.echo_state(6, 2, spectral_radius=0.8, leak=0.4, bias=0.3, generator=generator()).double()
    x = torch.randn(15, 3, 2, dtype=torch.float64, generator=generator(1))
    y, s = net(x)
    r = torch.zeros(3, 6, dtype=torch.float64)
    state = None
    for t, moment in enumerate(x):
        r = 0.6 * r + 0.4 * torch.tanh(moment @ net.drive.weight.T + r @ net.network.synapse.weight.T + net.bias)
        torch.testing.assert_close(y[t], r, rtol=1e-6, atol=1e-7)
        stepped, state = net.step(moment, state)
        torch.testing.assert_close(stepped, y[t])
    torch.testing.assert_close(state.network.output, s.network.output)
    first, middle = net(x[:7])
    torch.testing.assert_close(torch.cat((first, net(x[7:], middle)[0])), y)


def test_radius_is_the_declared_one_and_old_states_are_forgotten():
    net = Reservoir.echo_state(50, 1, spectral_radius=0.7, generator=generator())
    assert torch.linalg.eigvals(net.network.synapse.weight).abs().max().item() == pytest.approx(0.7, rel=1e-4)
    x = torch.randn(300, 1, 1, generator=generator(1))
    rest = net.initial(1)
    other = rest._replace(network=rest.network._replace(output=torch.randn(1, 50, generator=generator(2))))
    torch.testing.assert_close(net(x, rest)[0][-1], net(x, other)[0][-1], rtol=1e-4, atol=1e-5)


def test_spiking_cells_and_signed_connections_make_one_too_and_nothing_learns():
    signed = ExcitatoryInhibitory(20, 20, inputs=8, inhibition=1.5, generator=generator())
    net = Reservoir(LIF(20, dt=1e-3), signed, Dense(3, 20, gain=3.0, generator=generator(1)))
    y, _ = net(torch.rand(40, 2, 3, generator=generator(2)))
    assert net.emits == "spikes"
    assert set(y.unique().tolist()) == {0.0, 1.0}
    assert not any(parameter.requires_grad for parameter in net.parameters())
    with observe(net, "network.cell.v") as seen:
        net(torch.rand(5, 2, 3))
    assert seen["network.cell.v"].shape == (5, 2, 20)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="puts out as many"):
        Reservoir(EchoUnit(4), Dense(4, 4), Dense(2, 5))
    with pytest.raises(ValueError, match="synapse of size 5"):
        Reservoir(EchoUnit(4), Dense(5, 5), Dense(2, 4))
    with pytest.raises(TypeError, match="drive of a Reservoir is a plain module"):
        Reservoir(EchoUnit(4), Dense(4, 4), Recurrent(EchoUnit(4)))
    with pytest.raises(ValueError, match=r"one number or \[4\]"):
        Reservoir(EchoUnit(4), Dense(4, 4), Dense(2, 4), bias=torch.zeros(3))
    with pytest.raises(ValueError, match="spectral_radius is 0 or more"):
        Reservoir.echo_state(4, 1, spectral_radius=-1)


def test_a_readout_of_it_learns_by_ridge():
    net = Reservoir.echo_state(30, 1, input_scale=0.1, generator=generator()).double()
    x = torch.randn(500, 1, dtype=torch.float64, generator=generator(1))
    states, _ = net(x)
    target = x.roll(2, 0)
    weight, bias = ridge(states[50:], target[50:], 1e-8)
    assert ((states @ weight.T + bias - target)[50:].var() / target.var()).item() < 0.01
    assert isinstance(net.drive, nn.Module)
