"""DisinhibitoryLearning against backpropagation: its update is the gradient in the limit of weak feedback, and what each threshold makes of it."""

import pytest
import torch
from torch import nn

from neuropil.learning import Backprop, DisinhibitoryLearning, Replicas, fit
from neuropil.networks import DisinhibitoryNet

SIZES = (20, 12, 9, 5)


def built(seed=0, gain=0.6):
    return DisinhibitoryNet(SIZES, k_p=gain / 3, k_i=2 * gain / 3, generator=torch.Generator().manual_seed(seed)).double()


def given(items=8):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(items, SIZES[0], generator=generator, dtype=torch.float64)
    return x, torch.softmax(2 * torch.randn(items, SIZES[-1], generator=generator, dtype=torch.float64), -1)


def loss(y, target):
    return -(target * y.log_softmax(-1)).sum(-1).mean()


def gradient(net, x, target):
    return torch.autograd.grad(loss(net(x), target), list(net.parameters()))


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def silent(net, rest):
    return [torch.zeros_like(q) for q in net.authors_feedback(rest)]


def rule(threshold="exact", feedback=DisinhibitoryNet.gradient_feedback, optimizer=sgd, **how):
    return DisinhibitoryLearning(optimizer, feedback, threshold=threshold, **how)


def test_under_weak_feedback_it_is_backpropagation():
    x, target = given()
    errors = []
    for gain in (1e-2, 1e-3):
        net = built(gain=gain)
        made, metrics = rule("exact").updates(net, (x, target))
        assert metrics["settled"] == 1
        pairs = zip([made[p] / gain for p in net.parameters()], gradient(net, x, target), strict=True)
        errors.append(max(float((a + b).norm() / b.norm()) for a, b in pairs))
    assert errors[0] < 0.01
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.05)


def test_two_phases_climb_the_gradient_cell_by_cell():
    x, target = given()
    net = built(gain=1e-3)
    made, _ = rule("before").updates(net, (x, target))
    for p, g in zip(list(net.parameters())[:2], gradient(net, x, target)[:2], strict=True):
        assert torch.cosine_similarity(made[p].flatten(), -g.flatten(), dim=0) > 0.9


def test_the_exact_error_is_the_feedback():
    net, (x, target) = built(), given()
    made, _ = rule(feedback=DisinhibitoryNet.authors_feedback).updates(net, (x, target))
    opened = net.rest(x)
    feedback = net.authors_feedback(opened)
    closed = net.controlled(x, target, feedback, opened)
    error = (closed.c.unsqueeze(1) @ feedback[0]).squeeze(1) * torch.sigmoid(closed.u_e[0])
    torch.testing.assert_close(made[net.weights[0]], error.mT @ x / len(x))


def test_without_feedback_the_exact_rule_rests_and_the_linear_one_only_depresses():
    net, batch = built(), given()
    for threshold, check in (
        ("exact", lambda b: b.abs().max() < 1e-12),
        ("before", lambda b: b.abs().max() < 1e-12),
        ("linear", lambda b: (b < 0).all()),
    ):
        made, _ = rule(threshold, silent).updates(net, batch)
        assert all(check(made[b]) for b in net.biases), threshold


def test_one_item_alone_is_its_own_mean_and_the_tangent_is_exact_there():
    net, (x, target) = built(gain=1e-4), given(1)
    linear, exact = (rule(threshold).updates(net, (x, target))[0] for threshold in ("linear", "exact"))
    for p in net.parameters():
        torch.testing.assert_close(linear[p], exact[p], rtol=1e-3, atol=0)


def test_a_constant_threshold_is_slope_0():
    net, batch = built(), given()
    opened = net.rest(batch[0])
    made, _ = rule("constant", silent).updates(net, batch)
    flat, _ = rule("linear", silent, slope=0.0).updates(net, batch)
    for p in net.parameters():
        torch.testing.assert_close(flat[p], made[p])
    rate = nn.functional.softplus(opened.u_e[0])
    theta = torch.log(torch.expm1(nn.functional.softplus(rate).mean(0)))
    torch.testing.assert_close(made[net.biases[0]], ((rate - theta) * torch.sigmoid(opened.u_e[0])).mean(0))


def test_another_items_inhibition_is_its_own_where_all_items_are_one():
    net, (x, target) = built(), given(1)
    batch = x.expand(3, -1), target.expand(3, -1)
    other, linear = (rule(threshold).updates(net, batch)[0] for threshold in ("other", "linear"))
    mixed = rule("other").updates(net, given())[0], rule("linear").updates(net, given())[0]
    for p in net.parameters():
        torch.testing.assert_close(other[p], linear[p])
    first = net.weights[0]
    assert (mixed[0][first] - mixed[1][first]).abs().max() > 1e-3


def test_replicas_learn_as_each_alone_and_it_learns():
    x, target = given(24)
    alone = [built(k) for k in range(2)]
    how = {"hidden_rate": 0.5, "feedback": DisinhibitoryNet.authors_feedback, "optimizer": lambda own: torch.optim.Adam(own, lr=0.01)}
    histories = [
        fit(net, (x, target), rule("linear", **how), epochs=30, seed=k, batch_size=8, progress=False) for k, net in enumerate(alone)
    ]
    together = Replicas([built(k) for k in range(2)])
    fit(together, (x, target), rule("linear", **how), epochs=30, seeds=[0, 1], batch_size=8, together=True, progress=False)
    for net, other in zip(alone, together, strict=True):
        for a, b in zip(net.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(a, b)
    assert all(history.series("loss")[-1] < 0.9 * history.series("loss")[0] for history in histories)


def test_hidden_rate_0_teaches_the_readout_alone():
    net, before = built(), built()
    taught = rule("linear", hidden_rate=0.0)
    taught.step(net, given(), taught.init(net))
    assert torch.equal(net.weights[0], before.weights[0])
    assert not torch.equal(net.weights[-1], before.weights[-1])


def test_backprop_teaches_the_same_net():
    net, batch = built(), given()
    expected = [p - 0.1 * g for p, g in zip(net.parameters(), gradient(net, *batch), strict=True)]
    teach = Backprop(sgd, loss)
    teach.step(net, batch, teach.init(net))
    for p, value in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), value.detach())


def test_what_it_cannot_use_is_refused():
    with pytest.raises(ValueError, match="threshold is one of linear, constant, exact, before, other"):
        rule("none")
    with pytest.raises(ValueError, match="hidden_rate is 0 or more"):
        rule(hidden_rate=-1.0)
    with pytest.raises(TypeError, match="a Linear was given"):
        rule().init(nn.Linear(2, 2))
    coupled = rule(optimizer=lambda own: torch.optim.LBFGS(own)).hindrance(Replicas([built()]))
    assert coupled is not None
    assert "LBFGS" in coupled
    assert "no feedback control" in rule().hindrance(Replicas([nn.Linear(2, 2)]))
