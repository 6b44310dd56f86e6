"""NeuralMemoryTransformer against loops over moments: what is seen, what is convolved, what the memory is told and what reaches the stream."""

import pytest
import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention, silu

from neuropil.networks import NeuralMemoryTransformer
from neuropil.networks.neural_memory_transformer import CausalConv

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def made(**settings):
    settings = {"width": 8, "heads": 2, "window": 3, "key_size": 4, "value_size": 3, "hidden": (5,), "chunk": 4, **settings}
    net = NeuralMemoryTransformer(6, 5, **settings, generator=seeded()).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=seeded(1), dtype=F64))
    return net


def given(*leading, steps=9):
    return torch.randn(*leading, steps, 6, generator=seeded(2), dtype=F64)


def test_a_convolution_is_torchs_own_and_lets_everything_pass_at_first():
    conv = CausalConv(3, 4).double()
    x = torch.randn(2, 7, 3, generator=seeded(), dtype=F64)
    assert torch.equal(conv(x), x)
    with torch.no_grad():
        conv.weight.normal_(generator=seeded(1))
    wanted = nn.functional.conv1d(x.mT, conv.weight.flip(0).T.unsqueeze(1), groups=3, padding=3)[..., :7].mT
    torch.testing.assert_close(conv(x), wanted)


def test_attention_sees_persistent_tokens_and_its_window():
    net = made()
    z = torch.randn(11, 8, generator=seeded(3), dtype=F64)
    q, k, v = (part.unflatten(-1, (2, 4)).transpose(0, 1) for part in net.conv(net.qkv(z)).chunk(3, -1))
    seen = torch.tensor([[s <= t and (s < 2 or t - s < 3) for s in range(11)] for t in range(11)])
    torch.testing.assert_close(net.attend(z), scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(0, 1).flatten(1))
    whole = made(window=None)
    wanted = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(0, 1).flatten(1)
    torch.testing.assert_close(whole.attend(z), wanted)


@pytest.mark.parametrize("momentum", [True, False])
def test_the_whole_is_written_out_moment_by_moment(momentum):
    """Chunks of 1 and autograd's gradients instead of chunks of matrices; the rest in the order of the docstring."""
    net = made(chunk=1, momentum=momentum, highest=0.2)
    x = given()
    h = torch.cat((net.persistent, net.embed(x)))
    z = net.norm1(h)
    asked = net.asked(z)
    taps = net.asked_conv.weight
    w, reads = [one.detach().clone() for one in net.memory.start], []
    surprise = [torch.zeros_like(one) for one in w]
    for t in range(len(z)):
        heard = silu(sum(taps[j] * asked[t - j] for j in range(4) if t >= j))
        q, k, v = (one / one.norm() for one in heard.split((4, 4, 3)))
        theta, eta, alpha = (net.rates.weight @ z[t] + net.rates.bias).sigmoid()
        w = [one.detach().requires_grad_() for one in w]
        slopes = torch.autograd.grad((w[1] @ silu(w[0] @ k.detach()) - v.detach()).square().sum(), w)
        surprise = [eta * momentum * s - 0.2 * theta * slope for s, slope in zip(surprise, slopes, strict=True)]
        w = [((1 - alpha) * one + s).detach() for one, s in zip(w, surprise, strict=True)]
        y = w[1] @ silu(w[0] @ q)
        reads.append(y / (y.square().mean() + 0.01).sqrt())
    gate = net.gate(z).sigmoid()
    h = h + net.out((1 - gate) * net.attend(z) + gate * net.told(torch.stack(reads)))
    h = h + net.down(gelu(net.up(net.norm2(h))))
    found, remembered = net.trace(x)
    torch.testing.assert_close(found, net.readout(net.norm(h))[2:])
    torch.testing.assert_close(list(remembered.ended.weights), w)
    torch.testing.assert_close(remembered.gate, gate.mean(-1))
    assert torch.equal(remembered.began.weights[0], net.memory.start[0])
    assert bool(remembered.eta.any()) == momentum


def test_no_moment_hears_of_a_later_one_and_a_window_alone_of_none_before_it():
    def reached(net, t):
        x = given().requires_grad_()
        (gradient,) = torch.autograd.grad(net(x)[t].sum(), x)
        return [bool(one) for one in gradient.abs().amax(-1) > 0]

    assert reached(made(), 6) == [True] * 7 + [False] * 2
    # three moments of attention, whose keys and values reach three further by the convolution
    assert reached(made(remembers=False), 6) == [False] + [True] * 6 + [False] * 2
    assert reached(made(remembers=False, taps=1), 6) == [False] * 4 + [True] * 3 + [False] * 2


def test_a_memory_that_is_not_written_answers_as_it_began():
    net, x = made(), given(2)
    with torch.no_grad():
        net.memory.start[-1].zero_()
    y, remembered = net.trace(x, write=0.0)
    assert not remembered.theta.any()
    assert not remembered.ended.weights[-1].any()
    assert (y - net(x)).abs().max() > 1e-3
    with torch.no_grad():
        net.told.weight.zero_()
    torch.testing.assert_close(net(x), y)
    assert NeuralMemoryTransformer(6, 5, remembers=False).trace(given(2).float())[1] is None


def test_without_a_memory_other_numbers_begin_alike():
    one, two, three = (NeuralMemoryTransformer(6, 5, generator=seeded(4), **kind) for kind in ({}, {"hidden": (8,)}, {"remembers": False}))
    mine, its, rest = (dict(net.named_parameters()) for net in (one, two, three))
    assert all(torch.equal(mine[name], its[name]) for name in mine if not name.startswith("memory."))
    assert all(torch.equal(mine[name], tensor) for name, tensor in rest.items())
    assert one.memory.floats == two.memory.floats == 256
    assert sum(p.numel() for p in one.parameters()) == sum(p.numel() for p in two.parameters())


def test_an_item_of_a_batch_is_what_it_is_alone():
    net, x = made(), given(2, 3)
    torch.testing.assert_close(net(x)[1, 2], net(x[1, 2]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 9}, "multiple of the heads"),
        ({"window": 0}, "numbers from 1 up"),
        ({"persistent": -1}, "persistent from 0"),
        ({"highest": 0.0}, "above 0, 0.0 was given"),
        ({"chunk": 0}, "chunk of NeuralMemory"),
    ],
)
def test_unusable_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        made(**settings)


def test_inputs_of_another_width():
    with pytest.raises(ValueError, match=r"takes vectors \[..., T, 6\], \[3, 5\] was given"):
        made()(torch.zeros(3, 5, dtype=F64))
