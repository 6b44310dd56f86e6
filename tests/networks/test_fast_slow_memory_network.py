"""FastSlowMemoryNetwork: its own gradient against autograd's, its memory against loops, and what each kind of gradient may and may not hear."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot
from torch.testing import assert_close

from neuropil.learning import Replicas
from neuropil.networks import FastSlowMemoryNetwork

T, B, PIXELS, CLASSES = 6, 4, 7, 3


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def network(gradients="predicted", step=0.5, seed=0, **sizes):
    net = FastSlowMemoryNetwork(
        PIXELS,
        CLASSES,
        gradients=gradients,
        step=step,
        **{"embedded": 5, "units": 6, "slots": 4, "width": 3, "hidden": 8, **sizes},
        generator=draws(seed),
    ).double()
    if gradients == "predicted":
        with torch.no_grad():  # predictors that say something
            for part in (net.predict_read, net.predict_write):
                part.outer.weight.copy_(torch.randn(part.outer.weight.shape, generator=draws(9)))
    return net


def episodes(seed=1):
    x = torch.randn(T, B, PIXELS, generator=draws(seed)).double()
    return x, one_hot(torch.randint(CLASSES, (T, B), generator=draws(seed + 1)), CLASSES).double()


def loss(y, labels):
    return cross_entropy(y.flatten(0, -2), labels.flatten(0, -2))


def test_the_true_gradient_is_autograds_of_the_moments_own_loss():
    net, (x, labels) = network("true"), episodes()
    y, passed = net.trace(x, labels)
    for t in range(T):
        (own,) = torch.autograd.grad(cross_entropy(y[t], labels[t], reduction="sum"), passed.said["read"][t], retain_graph=True)
        assert_close(passed.used["read"][t], own)
        assert not passed.used["write"][t].any()
    (own,) = torch.autograd.grad(cross_entropy(y[2], labels[2], reduction="sum"), passed.said["write"][2], materialize_grads=True)
    assert not own.any()


def test_the_memory_is_what_loops_give():
    net, (x, labels) = network("none"), episodes()
    y, passed = net.trace(x, labels)
    weights = {name: one.detach().numpy() for name, one in net.named_parameters()}
    for b in range(B):
        memory = weights["slots"].copy()
        for t in range(T):
            e = np.tanh(weights["embed.weight"] @ x[t, b].numpy() + weights["embed.bias"])
            q = weights["ask.weight"] @ np.concatenate((passed.said["read"][t][b].detach().numpy(), e)) + weights["ask.bias"]
            q = q / np.sqrt(q @ q)
            scores = np.exp(10 * memory @ q)
            z = scores / scores.sum()
            m = z @ memory
            assert_close(y[t, b].detach().numpy(), weights["answer.weight"] @ np.concatenate((q, m)) + weights["answer.bias"])
            told = np.concatenate((passed.said["write"][t][b].detach().numpy(), labels[t, b].numpy()))
            w = q + weights["store.weight"] @ told + weights["store.bias"]
            memory = memory * (1 - z[:, None]) + z[:, None] * w


@pytest.mark.parametrize("gradients", ["predicted", "true", "none"])
def test_an_answer_hears_earlier_labels_and_never_its_own(gradients):
    net, (x, labels) = network(gradients), episodes()
    other = labels.clone()
    other[2] = labels[2].roll(1, -1)
    with torch.no_grad():
        before, after = net(x, labels), net(x, other)
    assert torch.equal(before[:3], after[:3])
    assert (before[3] != after[3]).any(-1).all()


@pytest.mark.parametrize("gradients", ["predicted", "true"])
def test_steps_of_nothing_are_no_steps_and_others_are_some(gradients):
    x, labels = episodes()
    still = network("none")
    for net, same in ((network(gradients, 0.0), True), (network(gradients), False)):
        y, passed = net.trace(x, labels)
        assert torch.allclose(y, still(x, labels), atol=1e-12) is same
        assert bool((passed.moved["read"] > 0).all()) is not same
        silent, _ = net.trace(x, labels, lambda _, g: torch.zeros_like(g))
        assert_close(silent, still(x, labels))


def test_predictors_are_taught_the_gradient_of_the_whole_episode_and_the_rest_takes_none_from_them():
    net, (x, labels) = network(), episodes()
    y, passed = net.trace(x, labels)
    whole = torch.autograd.grad(T * B * loss(y, labels), passed.said["write"][:-1], retain_graph=True)
    assert whole[0].norm() > 1e-3  # what is written matters later
    loss(y, labels).backward()
    error = passed.used["write"][0] - whole[0]
    for t in range(1, T - 1):  # nothing reads what is written last, of which nothing is learned
        error = error + passed.used["write"][t] - whole[t]
    assert_close(net.predict_write.outer.bias.grad, error.sum(0) / (T * B))
    held = network()
    held.requires_grad_(False)
    for name, one in held.named_parameters():
        one.requires_grad_(not name.startswith("predict"))
    loss(held(x, labels), labels).backward()
    for name, one in held.named_parameters():
        if one.requires_grad:
            assert_close(one.grad, net.get_parameter(name).grad)


def test_replicas_are_what_they_are_alone():
    given = [episodes(seed) for seed in (1, 5)]
    nets = [network(seed=seed) for seed in (0, 1)]
    together = Replicas(nets)(*(torch.stack(some) for some in zip(*given, strict=True)))
    for k, net in enumerate(nets):
        assert_close(together[k], net(*given[k]))


@pytest.mark.parametrize(("sizes", "word"), [({"gradients": "false"}, "predicted, true, none"), ({"slots": 0}, "sizes from 1 up")])
def test_bad_input(sizes, word):
    with pytest.raises(ValueError, match=word):
        network(**sizes)
