"""Recurrent: against torch's own recurrent network, and by hand."""

import math

import pytest
import torch
from torch import nn

from neuropil.cells import LI, LIF, LeakyRate
from neuropil.dynamics import smoothed
from neuropil.synapses import Dense, Recurrent


def test_with_an_instant_rate_unit_it_is_torchs_rnn():
    # LeakyRate: h <- d h + (1 - d) x, y = tanh(h). With d -> 0 that is h = x + W y(t - 1): nn.RNN without biases and with identity input.
    cell = LeakyRate(5, tau=1e-3, dt=1e-3)
    cell.decay.dt = 1.0  # exp(-1000) is exactly 0
    model = Recurrent(cell)
    reference = nn.RNN(5, 5, bias=False)
    with torch.no_grad():
        reference.weight_ih_l0.copy_(torch.eye(5))
        reference.weight_hh_l0.copy_(model.synapse.weight)
    x = torch.randn(12, 3, 5)
    torch.testing.assert_close(model(x)[0], reference(x)[0], rtol=1e-5, atol=1e-6)


def test_a_loop_of_one_by_hand():
    model = Recurrent(LI(1, tau=0.02, dt=1e-3))
    model.synapse.weight.data.fill_(0.5)
    d = math.exp(-1e-3 / 0.02)
    y, s = model(torch.tensor([[1.0], [0.0], [0.0]]))
    expected = [1.0, d + 0.5, (d + 0.5) ** 2]  # v <- d v + 0.5 y(t - 1), y = v
    assert y.flatten().tolist() == pytest.approx(expected, rel=1e-6)
    assert s.output.item() == pytest.approx(expected[-1], rel=1e-6)


def test_learning_reaches_the_recurrent_weights_through_time():
    model = Recurrent(LIF(4, dt=1e-3)).double()
    x = torch.rand(10, 2, 4, dtype=torch.float64)
    with smoothed(model):
        y, _ = model(x)
        y[-1].sum().backward()
    assert (model.synapse.weight.grad != 0).all()


@pytest.mark.parametrize(
    ("cell", "synapse", "kind", "says"),
    [
        (nn.Linear(3, 3), None, TypeError, "wraps a Cell"),
        (LI(dt=1e-3), None, ValueError, "give it a size"),
        (LI(3, dt=1e-3), Dense(3, 4), ValueError, "a synapse of size 4"),
        (LI(3, dt=1e-3), nn.Linear(4, 3), ValueError, "a synapse of size 4"),
        (LI(3, dt=1e-3), LI(3, dt=1e-3), TypeError, "plain module"),
    ],
)
def test_bad_parts(cell, synapse, kind, says):
    with pytest.raises(kind, match=says):
        Recurrent(cell, synapse)
