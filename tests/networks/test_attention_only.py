import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.networks import AttentionOnlyTransformer
from neuropil.networks.attention_only import rotate
from neuropil.observe import clamp, lesion, names, observe


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(seed=0, **settings):
    net = AttentionOnlyTransformer(7, 3, **{"width": 12, "heads": (3, 2), "head_width": 4, **settings}, generator=generator(seed)).double()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator(len(name)), dtype=torch.float64)
    return net


def numpy_forward(net, x, head_width=4, base=10_000.0):
    """One sequence [T, inputs], from the equations, position by position and head by head."""
    p = {name: value.detach().numpy() for name, value in net.named_parameters()}

    def norm(row, name):
        return (row - row.mean()) / np.sqrt(row.var() + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

    def turn(vector, t):
        out = np.empty_like(vector)
        for i in range(0, head_width, 2):
            angle = t * base ** (-i / head_width)
            out[i] = vector[i] * np.cos(angle) - vector[i + 1] * np.sin(angle)
            out[i + 1] = vector[i] * np.sin(angle) + vector[i + 1] * np.cos(angle)
        return out

    h = x @ p["embed.weight"] + p["embed.bias"][0]
    patterns = []
    for index, layer in enumerate(net.layers):
        name = f"layers.{index}"
        normed = np.stack([norm(row, f"{name}.norm") for row in h])
        added, pattern = np.zeros_like(h), np.zeros((layer.heads, len(x), len(x)))
        for head in range(layer.heads):
            own = slice(head * head_width, (head + 1) * head_width)
            q, k, v = (normed @ p[f"{name}.{part}.weight"][:, own] for part in ("query", "key", "value"))
            for t in range(len(x)):
                scores = np.array([turn(q[t], t) @ turn(k[s], s) / np.sqrt(head_width) for s in range(t + 1)])
                weights = np.exp(scores - scores.max())
                weights /= weights.sum()
                pattern[head, t, : t + 1] = weights
                added[t] += weights @ v[: t + 1] @ p[f"{name}.out.weight"][own]
        h = h + added
        patterns.append(pattern)
    return np.stack([norm(row, "norm") for row in h]) @ p["readout.weight"] + p["readout.bias"][0], patterns


def test_forward_equals_plain_numpy():
    net, x = build(), torch.randn(2, 6, 7, generator=generator(1), dtype=torch.float64)
    with observe(net, "layers.0.pattern", "layers.1.pattern") as seen:
        y = net(x)
    for item in range(2):
        expected, patterns = numpy_forward(net, x[item].numpy())
        assert_close(y[item], torch.from_numpy(expected))
        for layer in (0, 1):
            assert_close(seen[f"layers.{layer}.pattern"][item], torch.from_numpy(patterns[layer]))
    assert_close(net(x, last=True), y[:, -1:])


def test_rotation_keeps_lengths_and_depends_on_the_distance_alone():
    q, k = torch.randn(2, 8, generator=generator(), dtype=torch.float64)
    turned_q, turned_k = (rotate(v.expand(9, 8)) for v in (q, k))
    assert_close(turned_q.norm(dim=1), q.norm().expand(9))
    products = turned_q @ turned_k.T
    for distance in range(-8, 9):
        diagonal = products.diagonal(distance)
        assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert products[0].unique().numel() == 9
    pair = rotate(torch.tensor([1.0, 0.0]).expand(4, 2))  # a single pair turns by one radian a position
    assert_close(pair, torch.stack([torch.arange(4.0).cos(), torch.arange(4.0).sin()], dim=1))


def test_no_position_sees_a_later_one():
    net, x = build(), torch.randn(1, 6, 7, generator=generator(1), dtype=torch.float64)
    changed = x.clone()
    changed[:, 4:] += 1
    assert_close(net(x)[:, :4], net(changed)[:, :4])
    assert not torch.allclose(net(x)[:, 4:], net(changed)[:, 4:])


def test_replicas_are_networks_alone():
    """Forward, gradients and initial weights of each replica are those of the plain network with its generator."""
    settings = {"width": 12, "heads": (3, 1), "head_width": 4}
    x = torch.randn(3, 5, 4, 7, generator=generator(9))
    together = AttentionOnlyTransformer(7, 3, **settings, replicas=3, generator=[generator(s) for s in range(3)])
    y = together(x)
    y.square().sum().backward()
    for s in range(3):
        alone = AttentionOnlyTransformer(7, 3, **settings, generator=generator(s))
        own = alone(x[s])
        assert_close(y[s], own)
        own.square().sum().backward()
        for (name, many), one in zip(together.named_parameters(), alone.parameters(), strict=True):
            assert torch.equal(many.data[s].reshape(one.shape), one.data), name
            assert_close(many.grad[s].reshape(one.shape), one.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_a_layer_with_one_head_is_one_whose_others_are_ablated():
    many, x = build(heads=(3, 4)), torch.randn(2, 6, 7, generator=generator(1), dtype=torch.float64)
    one = build(heads=(3, 1))
    state = dict(many.state_dict())
    for part in ("query", "key", "value"):
        state[f"layers.1.{part}.weight"] = state[f"layers.1.{part}.weight"][:, 8:12]
    state["layers.1.out.weight"] = state["layers.1.out.weight"][8:12]
    one.load_state_dict(state)
    with clamp(many, {"layers.1.mix[..., [0, 1, 3], :, :]": 0.0}):
        assert_close(many(x), one(x))
    assert not torch.allclose(many(x), one(x))


def test_what_is_held_is_what_acts():
    net, x = build(), torch.randn(2, 5, 7, generator=generator(1), dtype=torch.float64)
    before = torch.eye(5, dtype=torch.float64)[[0, 0, 1, 2, 3]]
    with clamp(net, {"layers.0.pattern[:, 1]": before}), observe(net, "layers.0.value", "layers.0.mix", "layers.0.pattern") as seen:
        net(x)
    assert_close(seen["layers.0.mix"][:, 1, 1:], seen["layers.0.value"][:, :-1, 4:8])
    assert not torch.allclose(seen["layers.0.pattern"][:, 0], before.expand(2, 5, 5))
    other = torch.randn(2, 5, 12, generator=generator(2), dtype=torch.float64)
    free = net(x)
    with observe(net, "layers.1.pattern", "layers.1.value") as apart, clamp(net, {"layers.1.pattern_input": other}):
        held = net(x)
    with observe(net, "layers.1.pattern", "layers.1.value") as plain:
        net(x)
    assert_close(apart["layers.1.value"], plain["layers.1.value"])  # values are read from the stream as before
    assert not torch.allclose(apart["layers.1.pattern"], plain["layers.1.pattern"])
    assert not torch.allclose(held, free)
    with lesion(net, "layers.0", "layers.1"):
        assert_close(net(x), net.readout(net.norm(net.embed(x))))
    assert {"layers.1.scores", "layers.1.out", "layers.0.value_input"} <= set(names(net))


def test_initial_law():
    net = AttentionOnlyTransformer(100, 50, width=400, heads=(50,), head_width=8, generator=generator())
    for name, part in (("embed", net.embed), ("query", net.layers[0].query), ("out", net.layers[0].out), ("readout", net.readout)):
        weight = part.weight.detach()
        fan_in = weight.shape[0]
        assert abs(weight.var().item() * fan_in - 1) < 0.03, name
        assert abs(weight.mean().item()) < 0.01
        assert weight.abs().max() <= 2 / 0.8796 * fan_in**-0.5 + 1e-6
    assert not net.readout.bias.any()


def test_refusals():
    with pytest.raises(ValueError, match="even width"):
        AttentionOnlyTransformer(3, 2, head_width=5)
    with pytest.raises(ValueError, match="from 1 up"):
        AttentionOnlyTransformer(3, 2, heads=(2, 0))
    with pytest.raises(ValueError, match="generator"):
        AttentionOnlyTransformer(3, 2, replicas=2, generator=[generator()])
    with pytest.raises(ValueError, match="even width"):
        rotate(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="reshape"):
        build()(torch.zeros(5, 7, dtype=torch.float64))
    with pytest.raises(ValueError, match="reshape"):
        AttentionOnlyTransformer(3, 2, replicas=2, generator=[generator(), generator()])(torch.zeros(3, 4, 5, 3))
