"""The sensory set against torch's LSTM cell, the attention of its equation worked out sensor by sensor, and the invariance that it is for."""

import pytest
import torch
from torch import nn

from neuropil.cells import cooperation
from neuropil.networks import SensorySet
from neuropil.networks.sensory_set import sinusoids

ORDER = torch.tensor([3, 0, 4, 1, 2])


def policy(seed=0, **options):
    made = SensorySet(2, 5, hidden=4, queries=6, keys=3, **options).double()
    made.load(torch.randn(made.vectors.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    return made


def sights(moments=4):
    return torch.randn(moments, 2, 7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def run(made, moments, order=None):
    s, actions = None, []
    for o in moments:
        action, s = made(o if order is None else o[..., order], s)
        actions.append(action)
    return torch.stack(actions), s


@pytest.mark.parametrize(
    ("transfer", "context"), [(None, "none"), ("cooperation", "pooled"), ("kay_phillips", "pooled"), ("additive", "pooled")]
)
def test_the_order_of_sensors_does_not_matter(transfer, context):
    made = policy(transfer=transfer, context=context)
    torch.testing.assert_close(run(made, sights(), ORDER)[0], run(made, sights())[0])
    assert run(made, sights())[0].std() > 0.1


def test_with_the_released_mix_it_does():
    made = policy(transfer="cooperation", context="mixed")
    assert (run(made, sights(), ORDER)[0] - run(made, sights())[0]).abs().max() > 0.01


def test_sensors_remember_as_torch_s_lstm_cell():
    made = policy()
    peer = nn.LSTMCell(2, 4).double()
    with torch.no_grad():
        peer.weight_ih.copy_(made.input_weight[1].T)
        peer.weight_hh.copy_(made.recurrent_weight[1].T)
        peer.bias_ih.copy_(made.gate_bias[1])
        peer.bias_hh.zero_()
    s, theirs, last = None, None, torch.zeros(7, 1, dtype=torch.float64)
    for o in sights():
        for sensor in (2,):
            theirs = peer(torch.cat((o[1, :, sensor : sensor + 1], last), 1), theirs)
        action, s = made(o, s)
        last = action[1]
        torch.testing.assert_close(s.h[1, :, 2], theirs[0])
        torch.testing.assert_close(s.c[1, :, 2], theirs[1])


@pytest.mark.parametrize("context", ["pooled", "mixed"])
def test_context_keys_and_attention_are_their_equations(context):
    made = policy(transfer="cooperation", context=context)
    o = sights(1)[0]
    action, s = made(o)
    q = sinusoids(6, 4).double() @ made.query_weight[1]
    message = torch.zeros(6, dtype=torch.float64)
    for i in range(5):
        h = s.h[1, 3]
        if context == "pooled":
            c = h[[j for j in range(5) if j != i]].mean(0) @ made.context_weight[1] + made.context_bias[1]
        else:
            c = made.context_weight[1, i] @ q + made.context_bias[1, i]
        key = cooperation(h[i] @ made.key_weight[1], c)
        message = message + torch.tanh(q @ key) * o[1, 3, i]
    torch.testing.assert_close(action[1, 3], torch.tanh(torch.tanh(message) @ made.readout[1] + made.readout_bias[1]))


def test_sinusoids_are_those_of_transformers():
    found = sinusoids(3, 4).double()
    expected = [[0, 1, 0, 1], *([torch.tensor(p / w).double() for w in (1, 1, 100, 100)] for p in (1.0, 2.0))]
    for p in (1, 2):
        for d, of in enumerate((torch.sin, torch.cos, torch.sin, torch.cos)):
            assert float(found[p, d]) == pytest.approx(float(of(expected[p][d])), abs=1e-6)
    assert found[0].tolist() == [0, 1, 0, 1]


def test_policies_and_episodes_do_not_touch_and_vectors_come_back():
    made = policy(transfer="cooperation", context="pooled")
    alone = SensorySet(1, 5, hidden=4, queries=6, keys=3, transfer="cooperation", context="pooled").double()
    alone.load(made.vectors[1:])
    torch.testing.assert_close(alone(sights()[0][1:, 2:3])[0][0, 0], made(sights()[0])[0][1, 2])
    assert torch.equal(alone.vectors, made.vectors[1:])
    with pytest.raises(ValueError, match="These policies take vectors"):
        alone.load(made.vectors)


def test_what_cannot_be_made_is_refused():
    with pytest.raises(ValueError, match="'shared' was given"):
        SensorySet(1, 5, context="shared")
    with pytest.raises(ValueError, match="needs two sensors"):
        SensorySet(1, 1, context="pooled")
