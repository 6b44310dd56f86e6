"""WordLearner: its equation against torch's LSTM and attention, its stores against each other, what is read by order."""

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot, scaled_dot_product_attention
from torch.testing import assert_close

from neuropil.networks import WordLearner

T, B, N, PIXELS, CHANNELS = 7, 4, 3, 9, 6


def agent(store="dual", seed=0, **settings):
    sizes = {"hidden": 11, "units": 8, "language": 5, "nearest": None, **settings}
    return WordLearner(PIXELS, CHANNELS, store=store, generator=torch.Generator().manual_seed(seed), **sizes)


def episodes():
    draws = torch.Generator().manual_seed(1)
    return tuple(torch.randn(*shape, generator=draws) for shape in ((T, B, PIXELS), (T, B, CHANNELS), (B, N, PIXELS)))


def last_output(model, x):
    """The last output of torch's LSTM with the model's weights; torch has the gates in the order i, f, g, o."""
    size, units = x.shape[-1], model.units
    peer = nn.LSTM(size, units)
    order = torch.cat([torch.arange(k * units, (k + 1) * units) for k in (1, 0, 2, 3)])
    with torch.no_grad():
        peer.weight_ih_l0.copy_(model.lstm.weight[order, :size])
        peer.weight_hh_l0.copy_(model.lstm.weight[order, size:])
        peer.bias_ih_l0.copy_(model.lstm.bias[order])
        peer.bias_hh_l0.zero_()
    return peer(x)[0][-1]


@pytest.mark.parametrize("store", ["dual", "joint"])
def test_the_choice_is_that_of_torchs_lstm_and_attention(store):
    model, (seen, heard, offered) = agent(store), episodes()
    v, said = model.look(seen), model.hear(heard)
    both = torch.cat((v, said), -1)
    keyed, valued = (said, v) if store == "dual" else (both, both)
    h = last_output(model, both)
    query = model.ask(torch.cat((h, said[-1]), -1))
    keys, values = (layer(rows[:-1]).transpose(0, 1) for layer, rows in ((model.key, keyed), (model.value, valued)))
    sought = model.seek(h) + scaled_dot_product_attention(query.unsqueeze(1), keys, values).squeeze(1)
    c = model.look(offered) @ model.value.layers[0].weight[:, : model.units].mT
    logits = torch.stack([-(c[:, n] - sought).square().sum(1) / 8**0.5 for n in range(N)], 1)
    found = model(seen, heard, offered)
    assert_close(found.logits, logits)
    assert_close(found.weights.sum(1), torch.ones(B))
    assert found.weights.shape == (B, T - 1)


def test_dual_is_joint_without_cross_terms():
    dual, joint = agent("dual"), agent("joint")
    own = dual.state_dict()
    for name, size, at in (("key", 8, "high"), ("value", 5, "low")):
        weight = own[f"{name}.layers.linear1.weight"]
        nothing = weight.new_zeros(len(weight), size)
        own[f"{name}.layers.linear1.weight"] = torch.cat((nothing, weight) if at == "high" else (weight, nothing), 1)
    joint.load_state_dict(own)
    for one, other in zip(dual(*episodes()), joint(*episodes()), strict=True):
        assert_close(one, other)


def test_a_silenced_memory_is_none():
    silenced, none = agent("dual", strength=0.0), agent("none")
    assert torch.equal(silenced(*episodes()).logits, none(*episodes()).logits)
    assert not torch.allclose(agent("dual")(*episodes()).logits, none(*episodes()).logits)
    for model in (silenced, none):
        assert (model(*episodes()).weights == 0).all()


def test_what_is_read_can_be_told_and_what_is_kept_dealt_anew():
    model, (seen, heard, offered) = agent(nearest=2), episodes()
    own = model(seen, heard, offered)
    assert ((own.weights > 0).sum(1) == 2).all()
    assert_close(model(seen, heard, offered, weights=own.weights).logits, own.logits)
    dealt = torch.rand(B, T - 1).argsort(1)
    told = one_hot(torch.tensor([0, 3, 5, 1]), T - 1).float()
    moved = one_hot(dealt[torch.arange(B), told.argmax(1)], T - 1).float()
    assert_close(model(seen, heard, offered, weights=told, dealt=dealt).logits, model(seen, heard, offered, weights=moved).logits)
    assert_close(model(seen, heard, offered, dealt=dealt).weights, own.weights)


def test_refusals():
    with pytest.raises(ValueError, match="store is"):
        agent("visual")
    with pytest.raises(ValueError, match="This MLP takes inputs"):
        agent()(*episodes()[:2], torch.zeros(B, N, PIXELS + 1))
