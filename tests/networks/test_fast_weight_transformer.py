"""FastWeightTransformer: what the window and the fast weights can carry, one head by hand, and the gate inside."""

import pytest
import torch
from torch.nn.functional import normalize

from neuropil.learning import Replicas
from neuropil.networks import FastWeightTransformer
from neuropil.networks.fast_weight_transformer import FastWeightAttention


def built(seed=0, **how):
    return FastWeightTransformer(5, 3, width=8, heads=2, window=3, generator=torch.Generator().manual_seed(seed), **how).double()


def x(items=2, steps=12):
    return torch.randn(items, steps, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("beside", ["none", "hebb", "delta"])
def test_no_position_sees_a_later_one_and_fast_weights_alone_reach_beyond_the_window(beside):
    net, given = built(beside=beside, layers=1), x()
    changed = given.clone()
    changed[:, 4] += 1
    moved = (net(changed) - net(given)).abs().amax((0, 2))
    assert (moved[:4] == 0).all()
    assert (moved[4:7] > 0).all()
    assert bool((moved[7:] > 1e-9).all()) == (beside != "none")


@pytest.mark.parametrize("gating", ["scalar", "relevance"])
def test_one_head_by_hand(gating):
    torch.manual_seed(0)
    layer = FastWeightAttention(4, 1, 2, "delta", gating).double()
    given = x()[0, :6, :4]
    q, k, v = layer.qkv(given).chunk(3, -1)
    s, m, expected = layer.memory.initial(), torch.zeros(4, dtype=torch.float64), []
    for t in range(6):
        seen = slice(max(0, t - 1), t + 1)
        window = (k[seen] @ q[t] / 2).softmax(0) @ v[seen]
        one_q, one_k = normalize(q[t], dim=0), normalize(k[t], dim=0)
        expected.append(window + layer.beta * layer.memory.read(s, one_q))
        g = torch.tensor(0.5).double()
        if gating == "relevance":
            g = torch.sigmoid(2 * torch.cosine_similarity(one_q, m, dim=0))
            m = 0.9 * m + 0.1 * one_k
        s = layer.memory.write(s, one_k, v[t], g)
    torch.testing.assert_close(layer(given), layer.out(torch.stack(expected)), rtol=1e-5, atol=1e-6)


def test_replicas_are_each_alone_and_learn():
    nets = [built(seed, beside="delta") for seed in (0, 1)]
    together = Replicas(nets)
    given = x().expand(2, -1, -1, -1)
    y = together(given)
    for k, net in enumerate(nets):
        torch.testing.assert_close(y[k], net(x()))
    y.square().sum().backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in together.parameters())


@pytest.mark.parametrize("gating", ["scalar", "relevance"])
@pytest.mark.parametrize("beside", ["hebb", "delta"])
def test_empty_moments_do_not_blow_up_the_gradient(beside, gating):
    net, given = built(beside=beside, gating=gating), x()
    given[:, 4:8] = 0
    net(given)[:, -1].square().mean().backward()
    assert all(one.grad.norm() < 100 for one in net.parameters())


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="multiple of the heads"):
        FastWeightTransformer(5, 3, width=9, heads=2)
    with pytest.raises(ValueError, match="beside is one of none, hebb, delta"):
        FastWeightTransformer(5, 3, beside="oja")
    with pytest.raises(ValueError, match=r"takes vectors \[\.\.\., T, 5\]"):
        built()(torch.ones(2, 3, 4))
