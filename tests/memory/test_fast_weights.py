"""FastWeights against recursion, linear attention, gradient descent and the law of crosstalk; RelevanceGate against its running mean."""

import pytest
import torch

from neuropil.memory import FastWeights, RelevanceGate

T, K, V = 9, 5, 3


def given(seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    q, k = (torch.nn.functional.normalize(torch.randn(2, T, K, generator=generator, dtype=dtype), dim=-1) for _ in range(2))
    return q, k, torch.randn(2, T, V, generator=generator, dtype=dtype), torch.rand(2, T, generator=generator, dtype=dtype)


@pytest.mark.parametrize("write", ["hebb", "delta"])
@pytest.mark.parametrize(("decay", "gated"), [(1.0, False), (0.9, True)])
def test_a_sequence_at_once_is_moment_after_moment(write, decay, gated):
    memory = FastWeights(K, V, write=write, decay=decay).double()
    q, k, v, gate = given()
    y, last = memory(q, k, v, gate if gated else None)
    s = memory.initial(2)
    for t in range(T):
        torch.testing.assert_close(y[:, t], memory.read(s, q[:, t]))
        s = memory.write(s, k[:, t], v[:, t], gate[:, t] if gated else None)
    torch.testing.assert_close(last.F, s.F)


def test_hebbian_without_decay_is_linear_attention():
    q, k, v, _ = given()
    y, _ = FastWeights(K, V).double()(q, k, v)
    scores = torch.einsum("btk,bsk->bts", q, k).tril(-1)
    torch.testing.assert_close(y, torch.einsum("bts,bsv->btv", scores, v))


def test_the_delta_rule_is_a_step_down_the_gradient():
    _, k, v, gate = given()
    memory = FastWeights(K, V, write="delta").double()
    s = memory.write(memory.initial(2), k[:, 0], v[:, 0])
    weights = s.F.clone().requires_grad_()
    loss = 0.5 * (v[:, 1] - (weights @ k[:, 1].unsqueeze(-1)).squeeze(-1)).square().sum()
    (slope,) = torch.autograd.grad(loss, weights)
    expected = s.F - gate[:, 1, None, None] * slope
    torch.testing.assert_close(memory.write(s, k[:, 1], v[:, 1], gate[:, 1]).F, expected)


def test_a_key_met_again_holds_the_new_value_by_delta_and_the_sum_by_hebb():
    _, k, v, _ = given()
    again = k[:, :1].expand(2, 2, K)
    for write, expected in (("delta", v[:, 1]), ("hebb", v[:, 0] + v[:, 1])):
        memory = FastWeights(K, V, write=write).double()
        _, s = memory(again, again, v[:, :2])
        torch.testing.assert_close(memory.read(s, k[:, 0]), expected)


def test_crosstalk_of_random_keys_is_pairs_over_dimensions():
    pairs, size, generator = 20, 64, torch.Generator().manual_seed(1)
    k = torch.nn.functional.normalize(torch.randn(400, pairs, size, generator=generator), dim=-1)
    v = torch.randn(400, pairs, 1, generator=generator)
    _, s = FastWeights(size, 1)(k, k, v)
    error = (k @ s.F.mT - v).square().mean()
    assert error.item() == pytest.approx((pairs - 1) / size, rel=0.05)


def test_a_gate_of_0_writes_nothing():
    q, k, v, _ = given()
    for write in ("hebb", "delta"):
        y, s = FastWeights(K, V, write=write).double()(q, k, v, torch.zeros(2, T, dtype=torch.float64))
        assert not y.any()
        assert not s.F.any()


def test_a_learned_decay_has_a_gradient_and_stays_inside():
    memory = FastWeights(K, V, decay=0.95, learnable=True).double()
    q, k, v, _ = given()
    memory(q, k, v)[0].sum().backward()
    assert memory.decay.item() == pytest.approx(0.95)
    assert memory.stored.grad.abs() > 0


def test_the_gate_compares_each_moment_with_the_mean_before_it():
    gate = RelevanceGate(slope=3.0, bias=-1.0, c=0.2).double()
    q, k, _, _ = given()
    m = torch.zeros(2, K, dtype=torch.float64)
    for t, g in enumerate(gate(q, k).unbind(1)):
        expected = torch.sigmoid(3 * torch.cosine_similarity(q[:, t], m, dim=-1) - 1)
        torch.testing.assert_close(g, expected, rtol=1e-6, atol=0)
        m = 0.8 * m + 0.2 * k[:, t]
    torch.testing.assert_close(gate(k), gate(k, k))


def test_the_gate_opens_for_what_the_context_shares():
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(50, 40, 16, generator=generator)
    relevant = torch.rand(50, 40, generator=generator) < 0.25
    x = x + 4 * relevant.unsqueeze(-1) * torch.nn.functional.normalize(torch.randn(50, 1, 16, generator=generator), dim=-1)
    g = RelevanceGate(slope=5.0)(x)[:, 20:]
    late = relevant[:, 20:]
    assert g[late].mean() > g[~late].mean() + 0.2


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="write is 'hebb' or 'delta'"):
        FastWeights(2, 2, write="oja")
    with pytest.raises(ValueError, match="decay is above 0"):
        FastWeights(2, 2, decay=0.0)
    with pytest.raises(ValueError, match="FastWeights takes q and k"):
        FastWeights(2, 2)(torch.ones(3, 2), torch.ones(4, 2), torch.ones(4, 2))
    with pytest.raises(ValueError, match="c is the share"):
        RelevanceGate(c=1.0)
