import itertools
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from neuropil.learning import ForwardForward, ForwardForwardLayer, LabelStrip, activities, goodness_predict, goodness_scores
from neuropil.learning.fit import Rule

STRIP = LabelStrip(classes=3)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stack(sizes=(5, 8, 7, 6), seed=0, goodness="l2"):
    generator = torch.Generator().manual_seed(seed)
    return nn.Sequential(
        *[ForwardForwardLayer(a, b, goodness=goodness, generator=generator) for a, b in itertools.pairwise(sizes)]
    ).double()


def inputs(n, width, seed=1):
    return torch.rand(n, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def test_loss_and_gradient_by_hand():
    """One layer, two units, one pair: every number follows on paper."""
    layer = ForwardForwardLayer(2, 2).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 1.0], [0.5, -3.0]]))
        layer.bias.copy_(torch.tensor([0.1, 0.2]))
    positive, negative = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.tensor([[4.0, 3.0]], dtype=torch.float64)
    # directions (0.6, 0.8) and (0.8, 0.6); h+ = (1.2 + 0.8 + 0.1, max(0, 0.3 - 2.4 + 0.2)) = (2.1, 0); h- = (2.3, 0); g = 2.1 and 2.3
    rule = ForwardForward(STRIP, threshold=3.0)
    loss, gap = rule.loss(nn.Sequential(layer), positive, negative)
    expected = (math.log1p(math.exp(3 - 2.1)) + math.log1p(math.exp(2.3 - 3))) / 2
    assert loss.item() == pytest.approx(expected)
    assert gap.tolist() == pytest.approx([-0.2])
    loss.backward()
    up, down = -sigmoid(3 - 2.1) / 2, sigmoid(2.3 - 3) / 2
    expected_weight = torch.tensor([[0.6 * up + 0.8 * down, 0.8 * up + 0.6 * down], [0, 0]], dtype=torch.float64)
    assert_close(layer.weight.grad, expected_weight)
    assert_close(layer.bias.grad, torch.tensor([up + down, 0], dtype=torch.float64))


@pytest.mark.parametrize("goodness", ["l1", "l2", "linf", "squares"])
def test_gradient_in_closed_form(goodness):
    """dL/dW = mean of sign * -sigmoid(sign (theta - g)) * dg/dh * 1[h > 0] x', with dg/dh from the norm's own derivative."""
    net, theta = stack((5, 8), goodness=goodness), 0.7
    positive, negative = inputs(6, 5), inputs(6, 5, seed=2)
    loss, _ = ForwardForward(STRIP, threshold=theta).loss(net, positive, negative)
    loss.backward()
    x = torch.cat([positive, negative])
    x = x / x.pow(2).sum(1, keepdim=True).sqrt()
    layer = net[0]
    h = (x @ layer.weight.T + layer.bias).clamp(min=0).detach()
    g = {"l1": h.sum(1), "l2": h.pow(2).sum(1).sqrt(), "linf": h.max(1).values, "squares": h.pow(2).sum(1)}[goodness]
    slope = {
        "l1": torch.ones_like(h),
        "l2": h / g[:, None],
        "linf": (h == h.max(1, keepdim=True).values).double(),
        "squares": 2 * h,
    }[goodness]
    sign = torch.cat([torch.ones(6), -torch.ones(6)]).double()
    blame = -sign * torch.sigmoid(sign * (theta - g)) / 12
    delta = blame[:, None] * slope * (h > 0)
    assert_close(layer.weight.grad, delta.T @ x)
    assert_close(layer.bias.grad, delta.sum(0))


@pytest.mark.parametrize(("goodness", "order"), [("l1", 1), ("l2", 2), ("linf", math.inf)])
def test_goodness_is_torchs_norm(goodness, order):
    h = inputs(4, 9) - 0.5
    assert_close(ForwardForwardLayer(2, 9, goodness=goodness).goodness(h), torch.linalg.norm(h, ord=order, dim=1))


def test_sum_of_squares_is_hintons_goodness():
    h = torch.tensor([[1.0, 2.0, 2.0]])
    assert ForwardForwardLayer(2, 3, goodness="squares").goodness(h).item() == 9


@pytest.mark.parametrize("scale", [1e-3, 7.0, 1e4])
def test_only_the_direction_of_the_input_matters(scale):
    net, x = stack(), inputs(4, 5)
    assert_close(net(scale * x), net(x))
    assert_close(stack()(torch.zeros(1, 5).double())[0], net(torch.zeros(1, 5).double())[0])


def test_without_unit_length_the_layer_is_linear_then_relu():
    layer = ForwardForwardLayer(5, 4, unit_length=False).double()
    x = inputs(3, 5)
    assert_close(layer(x), torch.relu(x @ layer.weight.T + layer.bias))


def test_local_losses_never_reach_earlier_layers():
    """A net of two layers gives its first one exactly the gradient that it has alone; end to end it does not."""
    positive, negative = inputs(6, 5), inputs(6, 5, seed=2)

    def first_gradient(depth, local):
        net = stack()[:depth]
        ForwardForward(STRIP, threshold=1.0, local=local).loss(net, positive, negative)[0].backward()
        return net[0].weight.grad

    alone = first_gradient(1, local=True)
    assert torch.equal(first_gradient(3, local=True), alone)
    assert not torch.allclose(first_gradient(3, local=False), alone)
    assert torch.equal(first_gradient(1, local=False), alone)


def test_later_loss_alone_gives_no_gradient_at_all():
    net = stack()
    for parameter in net[2].parameters():
        parameter.requires_grad_(True)
    rule = ForwardForward(STRIP, threshold=1.0)
    both = rule.loss(net, inputs(6, 5), inputs(6, 5, seed=2))[0]
    shorter = rule.loss(net[:2], inputs(6, 5), inputs(6, 5, seed=2))[0]
    later = torch.autograd.grad(both - shorter, list(net[:2].parameters()))
    assert all(bool((g == 0).all()) for g in later)


def test_end_to_end_losses_by_layer_and_by_sum():
    net, positive, negative = stack(), inputs(6, 5), inputs(6, 5, seed=2)
    goodness = [[layer.goodness(h) for layer, h in zip(net, activities(net, x), strict=True)] for x in (positive, negative)]

    def softplus_pair(g_positive, g_negative, theta):
        return (torch.log1p((theta - g_positive).exp()).mean() + torch.log1p((g_negative - theta).exp()).mean()) / 2

    by_layer = ForwardForward(STRIP, threshold=0.9, local=False).loss(net, positive, negative)[0]
    assert_close(by_layer, sum(softplus_pair(a, b, 0.9) for a, b in zip(*goodness, strict=True)))
    by_sum = ForwardForward(STRIP, threshold=0.9, local=False, pooled="sum").loss(net, positive, negative)[0]
    assert_close(by_sum, softplus_pair(sum(goodness[0]), sum(goodness[1]), 0.9))


@pytest.mark.parametrize("skip", [0, 1])
def test_prediction_by_brute_force(skip):
    net, x = stack((3 + 4, 9, 8)), inputs(5, 4)
    guess = goodness_predict(net, STRIP, x, skip=skip)
    for image, label, scores in zip(x, guess, goodness_scores(net, STRIP, x, skip=skip), strict=True):
        total = [0.0] * 3
        goodness = []
        for candidate in range(3):
            h, seen = torch.cat([torch.eye(3).double()[candidate], image]), []
            for layer in net:
                h = torch.relu(layer.weight @ (h / h.norm()) + layer.bias)
                seen.append(h.norm().item())
            goodness.append(seen)
        for layer in range(skip, 2):
            weights = [math.exp(goodness[c][layer]) for c in range(3)]
            total = [t + w / sum(weights) for t, w in zip(total, weights, strict=True)]
        assert scores.tolist() == pytest.approx(total)
        assert int(label) == max(range(3), key=total.__getitem__)


def test_strips():
    x, labels = inputs(3, 4), torch.tensor([0, 2, 1])
    strip = LabelStrip(classes=3, value=2.0)
    assert_close(strip.write(x, labels)[:, :3], 2 * torch.eye(3).double()[labels])
    every = torch.stack([strip.write(x, torch.full((3,), c)) for c in range(3)])
    assert_close(strip.neutral(x), every.mean(0))
    assert_close(strip.absent(x)[:, :3], torch.zeros(3, 3).double())
    for written in (strip.write(x, labels), strip.neutral(x), strip.absent(x)):
        assert torch.equal(written[:, 3:], x)


def test_wrong_labels_are_wrong_and_uniform():
    labels = torch.arange(3).repeat(3000)
    wrong = STRIP.wrong(labels, torch.Generator().manual_seed(0))
    assert not (wrong == labels).any()
    counts = torch.bincount((wrong - labels) % 3, minlength=3)
    assert abs(int(counts[1]) - 4500) < 4 * math.sqrt(9000 / 4)


def test_random_labels_tell_nothing():
    labels = torch.arange(3).repeat(3000)
    drawn = STRIP.random(labels, torch.Generator().manual_seed(0))
    assert abs(int((drawn == labels).sum()) - 3000) < 4 * math.sqrt(9000 * 2 / 9)


def test_it_learns_a_task_it_can_and_is_a_rule():
    """Three noisy prototypes, told apart by goodness alone after a few hundred local steps."""
    generator = torch.Generator().manual_seed(3)
    prototypes = torch.rand(3, 12, generator=generator)
    y = torch.randint(3, (400,), generator=generator)
    x = prototypes[y] + 0.1 * torch.randn(400, 12, generator=generator)
    net = nn.Sequential(ForwardForwardLayer(15, 32, generator=generator), ForwardForwardLayer(32, 32, generator=generator))
    rule: Rule = ForwardForward(STRIP, threshold=2.0, learning_rate=0.02)
    before = (goodness_predict(net, STRIP, x) == y).float().mean().item()
    state = rule.init(net)
    losses = []
    for _ in range(300):
        state, metrics = rule.step(net, (x, y), state)
        losses.append(metrics["loss"].item())
    after = (goodness_predict(net, STRIP, x) == y).float().mean().item()
    assert losses[-1] < 0.7 * losses[0]
    assert metrics["goodness_gap"] > 0.5
    assert before < 0.7
    assert after > 0.9


def test_same_seed_same_net():
    def trained(seed):
        net = stack((8, 6)).float()
        rule = ForwardForward(STRIP, seed=seed)
        state = rule.init(net)
        for _ in range(3):
            state, _ = rule.step(net, (inputs(6, 5).float(), torch.arange(6) % 3), state)
        return net[0].weight.detach()

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


def test_bad_input():
    with pytest.raises(ValueError, match="accepted are l1, l2, linf, squares"):
        ForwardForwardLayer(2, 2, goodness="l3")
    with pytest.raises(ValueError, match="at least one"):
        ForwardForwardLayer(0, 2)
    with pytest.raises(ValueError, match="not local"):
        ForwardForward(STRIP, pooled="sum")
    with pytest.raises(ValueError, match="'layer' and 'sum'"):
        ForwardForward(STRIP, local=False, pooled="mean")
    with pytest.raises(TypeError, match="a Linear is in it"):
        ForwardForward(STRIP).init(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="no layer"):
        ForwardForward(STRIP).init(nn.Sequential())
    with pytest.raises(ValueError, match="come in pairs"):
        ForwardForward(STRIP).loss(stack(), inputs(2, 5), inputs(3, 5))
    with pytest.raises(ValueError, match="at least 2 classes"):
        LabelStrip(classes=1)
    with pytest.raises(ValueError, match="accepts 0 to 2"):
        STRIP.write(inputs(1, 4), torch.tensor([3]))
    with pytest.raises(ValueError, match="one label"):
        STRIP.write(inputs(2, 4), torch.tensor([1]))
