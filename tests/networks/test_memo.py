"""MEMO against NumPy, hop by hop, and as a walk that is written into its numbers by hand."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.data import PairedInference
from neuropil.networks import MEMO, halts


def net(**given):
    return MEMO(**{"code": 8, "width": 4, "heads": 2, "hops": 3, "generator": torch.Generator().manual_seed(1), **given})


GIVEN = PairedInference(chains=2, code=8).draw(7, torch.Generator().manual_seed(2))


def normed(x, layer):
    x = (x - x.mean()) / np.sqrt(x.var() + layer.eps)
    return x * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def gelu(x):
    return x * 0.5 * (1 + torch.erf(torch.from_numpy(x) / 2**0.5).numpy())


def test_hops_are_what_numpy_gives():
    part = net().double()
    with torch.no_grad():
        part.down.normal_(generator=torch.Generator().manual_seed(5))
    told = part(GIVEN.facts.double(), GIVEN.cue.double(), GIVEN.options.double())
    own = {name: tensor.detach().numpy() for name, tensor in part.named_parameters()}
    for k in range(7):
        c, q = GIVEN.facts[k].double().flatten(1).numpy(), normed(own["memory.query"] @ GIVEN.cue[k].double().numpy(), part.norm)
        for t in range(3):
            r = []
            for h in (slice(0, 4), slice(4, 8)):
                w = softmax((c @ own["memory.key"][h].T) @ q[h] / 2)
                assert_close(told.weights[k, t, h.start // 4].detach().numpy(), w)
                r.append(w @ (c @ own["memory.value"][h].T))
            z = np.concatenate((q, *r))
            q = normed(own["carry"] @ z + own["down"] @ gelu(own["up"] @ normed(z, part.norm_both)), part.norm)
            assert_close(told.scores[k, t].detach().numpy(), GIVEN.options[k].double().numpy() @ own["answer"] @ q / 8**0.5)


def test_halting_observes_distance_certainty_and_the_hop():
    part, seen = net().double(), []
    part.halting.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    told = part(GIVEN.facts.double(), GIVEN.cue.double(), GIVEN.options.double())
    observed = seen[0]
    assert_close(observed[..., 2:], torch.eye(3).double().expand(7, 3, 3))
    assert_close(observed[..., 1], told.scores.softmax(-1).diff(dim=-1).abs().squeeze(-1))
    assert_close(observed[:, 0, 0], torch.zeros(7).double())
    moved = -(told.weights[:, 1] * told.weights[:, 0]).sqrt().sum(-1).log().mean(1)
    assert_close(observed[:, 1, 0], moved)


def test_the_halting_moves_nothing_but_when_it_answers():
    whole, still = net(), net(strength=0.0)
    told, other = (part(GIVEN.facts, GIVEN.cue, GIVEN.options) for part in (whole, still))
    assert torch.equal(told.scores, other.scores)
    assert (halts(other.halting.log_stop, 0.01) == 2).all()
    assert (halts(told.halting.log_stop, 0.01) < 2).all()
    told.halting.value.sum().backward()
    assert whole.carry.grad is None


def test_one_hop_finds_direct_matches_and_no_others_when_told_how():
    code, given = 16, PairedInference(chains=4, code=16).draw(600, torch.Generator().manual_seed(4))
    part = MEMO(code, width=code, heads=1, hops=1)
    with torch.no_grad():
        for tensor in (part.memory.query, part.answer):
            tensor.copy_(torch.eye(code))
        for tensor in (part.memory.key, part.memory.value):
            tensor.copy_(torch.eye(code).repeat(1, 2))
        part.carry.copy_(torch.cat((torch.zeros(code, code), torch.eye(code)), 1))
        right = part(given.facts, given.cue, given.options).scores[:, 0].argmax(1) == given.target
    assert right[given.distance == 1].float().mean() > 0.9
    assert right[given.distance > 1].float().mean() == pytest.approx(0.5, abs=0.08)


def test_bad_input():
    with pytest.raises(ValueError, match="hops"):
        net(hops=0)
    with pytest.raises(ValueError, match="facts"):
        net()(GIVEN.facts[..., :1, :], GIVEN.cue, GIVEN.options)
