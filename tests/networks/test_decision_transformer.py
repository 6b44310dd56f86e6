"""DecisionTransformer against torch's own attention, moments one at a time, and itself without the memory."""

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.testing import assert_close

from neuropil.learning import Replicas
from neuropil.networks.decision_transformer import DecisionTransformer, WindowAttention


def drawn(*shape, seed=3):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(**given):
    return DecisionTransformer(3, 2, width=8, heads=2, hidden=12, generator=torch.Generator().manual_seed(1), **given).double()


@pytest.mark.parametrize(("window", "length"), [(1, 5), (3, 7), (4, 8), (16, 7)])
def test_attention_within_a_window_is_torch_s_with_the_ages_as_a_mask(window, length):
    part = WindowAttention(8, 2, window, torch.Generator().manual_seed(0)).double()
    x = drawn(2, length, 8)
    q, k, v = (one.unflatten(-1, (2, 4)).transpose(-3, -2) for one in part.qkv(x).chunk(3, -1))
    mask = torch.full((2, length, length), -torch.inf, dtype=torch.float64)
    for t in range(length):
        for age in range(min(window, t + 1)):
            mask[:, t, t - age] = part.bias[:, age].detach()
    expected = part.out(scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(-3, -2).flatten(-2))
    assert_close(part(x), expected)
    assert_close(part.last(x), expected[..., -1:, :])


@pytest.mark.parametrize(("window", "pinned", "length"), [(3, 2, 11), (4, 4, 7), (2, 5, 9), (3, 4, 2), (8, 3, 6)])
def test_pinned_moments_stay_in_sight_by_a_bias_of_their_place(window, pinned, length):
    part = WindowAttention(8, 2, window, torch.Generator().manual_seed(0), pinned).double()
    x = drawn(2, length, 8)
    q, k, v = (one.unflatten(-1, (2, 4)).transpose(-3, -2) for one in part.qkv(x).chunk(3, -1))
    mask = torch.full((2, length, length), -torch.inf, dtype=torch.float64)
    for t in range(length):
        for j in range(t + 1):
            if t - j < window:
                mask[:, t, j] = part.bias[:, t - j].detach()
            elif j < pinned:
                mask[:, t, j] = part.places[:, j].detach()
        assert int((mask[0, t] > -torch.inf).sum()) == min(t + 1, window + min(pinned, max(0, t + 1 - window)))
    expected = part.out(scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(-3, -2).flatten(-2))
    assert_close(part(x), expected)
    gone = max(0, length - window)
    assert_close(part.last(x, x[:, : min(gone, pinned)]), expected[..., -1:, :])
    assert WindowAttention(8, 2, 6, None, 2).bias.numel() + part.places.numel() == 2 * (6 + pinned)


def test_nothing_pinned_is_the_window_alone_and_draws_the_same():
    plain, none = (WindowAttention(8, 2, 3, torch.Generator().manual_seed(0), *given) for given in ((), (0,)))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), none.parameters(), strict=True))


def test_pinned_moments_are_read_at_the_end_and_what_lies_between_is_not():
    x = drawn(30, 3).requires_grad_()
    net = network(layers=1, window=4, pinned=2)
    (reach,) = torch.autograd.grad(net(x)[29].sum(), x)
    assert [t for t in range(30) if (reach[t] != 0).any()] == [0, 1, 26, 27, 28, 29]


def test_merged_slots_are_read_evenly_and_written_as_before():
    net, x = network(layers=1, window=2, slots=3, segment=4), drawn(12, 3)
    _, apart = net.trace(x)
    y, told = net.trace(x, True, True)
    assert_close(told.slots, apart.slots)
    assert_close(told.weights, torch.full_like(told.weights, 1 / 3))
    value = net.memory.attention.show(apart.slots.mean(-2, keepdim=True))[1].transpose(-3, -2).flatten(-2)
    assert_close(told.read.unflatten(0, (3, 4)), value.expand(3, 4, 8))
    assert not torch.allclose(y, net(x))


def test_what_a_moment_reads_was_written_by_the_segments_before_it():
    """One block, so that what is written and read is the normed embedding."""
    net, x = network(layers=1, window=2, slots=3, segment=4), drawn(10, 3)
    block, memory = net.blocks[0], net.memory
    z = block["norm1"](net.embed(x))
    s, read = memory.initial(), []
    for begin in (0, 4, 8):
        read.append(memory.read(s, z[begin : begin + 4]))
        _, s = memory.write(s, z[begin : begin + 4])
    h = net.embed(x) + block["attn"](z) + torch.cat(read)
    h = h + block["down"](block["up"](block["norm2"](h)).relu())
    y, told = net.trace(x)
    assert_close(y, net.readout(net.norm(h)))
    assert_close(told.read, torch.cat(read))
    assert_close(told.weights.sum(-1), torch.ones(3, 2, 4).double())
    assert_close(told.slots[0], torch.eye(3, 8).double())


@pytest.mark.parametrize(
    "given",
    [
        {"window": 3, "slots": 4, "segment": 5},
        {"window": 6, "slots": 2, "segment": 2},
        {"window": 4},
        {"window": 3, "pinned": 4},
        {"window": 2, "pinned": 3, "slots": 2, "segment": 3},
    ],
)
@pytest.mark.parametrize(("carried", "merged"), [(True, False), (False, False), (True, True)])
def test_one_moment_at_a_time_gives_what_the_whole_sequence_does(given, carried, merged):
    net, x = network(**given), drawn(2, 13, 3)
    s, ys = net.initial(2), []
    for t in range(13):
        y, s = net.step(x[:, t], s, carried, merged)
        ys.append(y)
    assert_close(torch.stack(ys, 1), net(x, carried, merged))


def test_no_output_depends_on_what_comes_later_and_slots_reach_beyond_the_window():
    x = drawn(12, 3).requires_grad_()
    for slots in (0, 3):
        net = network(window=2, slots=slots, segment=3)
        (reach,) = torch.autograd.grad(net(x)[9].sum(), x)
        assert (reach[10:] == 0).all()
        assert bool((reach[:7] != 0).any()) == bool(slots)
        (reach,) = torch.autograd.grad(net(x, False)[9].sum(), x)
        assert (reach[:4] == 0).all()


def test_at_strength_0_it_is_the_network_without_a_memory():
    x = drawn(9, 3)
    plain, off, on = network(), network(slots=3, strength=0.0), network(slots=3)
    assert torch.equal(plain(x), off(x))
    assert not torch.allclose(plain(x), on(x))


def test_replicas_learn_side_by_side():
    nets = [DecisionTransformer(3, 2, width=8, heads=2, slots=2, generator=torch.Generator().manual_seed(k)) for k in range(2)]
    x = drawn(2, 4, 17, 3).float()
    assert_close(Replicas(nets)(x), torch.stack([net(one) for net, one in zip(nets, x, strict=True)]))


def test_gates_begin_by_keeping_for_as_many_segments_as_said():
    net = network(slots=3, keep=4.0)
    with torch.no_grad():
        net.memory.from_slots.weight.zero_()
    i, f = net.memory.gates(net.memory.initial(), torch.zeros(5, 8).double())
    assert_close(i, torch.full_like(i, 0.2))
    assert_close(f, torch.full_like(f, 0.8))


def test_slots_begin_distinct_and_stay_so():
    net, x = network(slots=4), drawn(40, 3)
    slots = net.trace(x)[1].slots[-1].detach().numpy()
    assert np.var(slots, axis=0).mean() > 0.1 * np.var(slots)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: network(window=0), "from 1 up"),
        (lambda: network(slots=-1), "from 0"),
        (lambda: network(pinned=-1), "from 0"),
        (lambda: network(slots=2, keep=0.5), "from 1 up"),
        (lambda: DecisionTransformer(3, 2, width=6, heads=4), "multiple of the heads"),
        (lambda: network()(drawn(5, 4)), "vectors of 3"),
        (lambda: network().step(drawn(4), network().initial()), "vectors of 3"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
