"""DisinhibitoryNet: its rests against scipy's solution of the whole loop, its Jacobian and gradient against autograd and finite differences."""

import numpy as np
import pytest
import torch

from neuropil.learning import Replicas
from neuropil.networks import DisinhibitoryNet

solve_ivp = pytest.importorskip("scipy.integrate", reason="scipy is not installed").solve_ivp
SIZES = (6, 5, 4, 3)


def built(seed=0):
    return DisinhibitoryNet(SIZES, generator=torch.Generator().manual_seed(seed)).double()


def given(seed=1, items=4):
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.randn(items, SIZES[0], generator=generator, dtype=torch.float64)
    return x, torch.eye(SIZES[-1], dtype=torch.float64)[torch.arange(items) % SIZES[-1]]


def at_rest_by_ode(net, x, target, feedback):
    """The whole loop of one item, controller included, as the paper writes it, for two seconds."""
    w1, w2, w3 = (w.detach().numpy() for w in net.weights)
    q1, q2 = (q.numpy() for q in feedback)

    def f(t, u):
        e1, i1, e2, i2, y, z = np.split(u, [5, 10, 14, 18, 21])
        soft = np.exp(y - y.max())
        error = target - soft / soft.sum()
        c = 0.2 * error + 0.4 * z
        r1, r2 = np.logaddexp(0, e1), np.logaddexp(0, e2)
        return np.concatenate(
            [
                (-e1 + w1 @ x - np.logaddexp(0, i1)) / 0.02,
                (-i1 + r1 - c @ q1) / 0.005,
                (-e2 + w2 @ r1 - np.logaddexp(0, i2)) / 0.02,
                (-i2 + r2 - c @ q2) / 0.005,
                (-y + w3 @ r2 + c) / 0.02,
                (error - z) / 0.1,
            ]
        )

    return np.split(solve_ivp(f, (0, 2), np.zeros(24), rtol=1e-9, atol=1e-11).y[:, -1], [5, 10, 14, 18, 21])


def test_it_rests_where_the_loop_comes_to_rest():
    net = built()
    x, target = given()
    opened = net.rest(x)
    feedback = net.authors_feedback(opened)
    closed = net.controlled(x, target, feedback, opened)
    assert closed.residual.max() < 1e-9
    e1, i1, _, i2, y, _ = at_rest_by_ode(net, x[0].numpy(), target[0].numpy(), [q[0] for q in feedback])
    for ours, ode in ((closed.u_e[0], e1), (closed.u_i[0], i1), (closed.u_i[1], i2), (closed.y, y)):
        np.testing.assert_allclose(ours[0].numpy(), ode, atol=1e-6)
    last = net.run(x, target, feedback, opened, steps=2000)[-1]
    torch.testing.assert_close(last.y, closed.y, atol=1e-6, rtol=0)
    assert (closed.y - opened.y).abs().max() > 0.05


def test_the_control_moves_the_output_towards_the_target():
    net = built()
    x, target = given()
    opened = net.rest(x)
    closed = net.controlled(x, target, net.authors_feedback(opened), opened)
    assert ((closed.y.softmax(-1) - target).norm(dim=-1) < (opened.y.softmax(-1) - target).norm(dim=-1)).all()


def test_the_jacobian_is_that_of_the_rest():
    net, (x, _) = built(), given(items=2)
    opened, h = net.rest(x), 1e-6
    for layer, jacobian in enumerate(net.jacobians(opened)):
        for n in range(SIZES[layer + 1]):
            moved = built()
            with torch.no_grad():
                moved.biases[layer][n] += h
            torch.testing.assert_close((moved.rest(x).y - opened.y) / h, jacobian[:, :, n], atol=1e-5, rtol=1e-4)


def test_the_gradient_is_that_of_the_rest():
    net, (x, _) = built(), given()
    torch.testing.assert_close(net(x), net.rest(x).y)
    assert torch.autograd.gradcheck(net, x.requires_grad_())


def test_the_authors_feedback_has_length_one_and_the_direction_of_a_chain_without_interneurons():
    net, (x, _) = built(), given()
    opened = net.rest(x)
    u_e = [u.clone().requires_grad_() for u in opened.u_e]
    slopes = [torch.sigmoid(u) for u in opened.u_e]
    h = (u_e[0] * slopes[0]) @ net.weights[1].mT
    y = ((h + u_e[1]) * slopes[1]) @ net.weights[2].mT
    for layer, q in enumerate(net.authors_feedback(opened)):
        chain = torch.stack([torch.autograd.grad(y[:, k].sum(), u_e[layer], retain_graph=True)[0] for k in range(SIZES[-1])], 1)
        expected = chain * torch.sigmoid(opened.u_i[layer]).unsqueeze(1)
        torch.testing.assert_close(q, expected / expected.flatten(1).norm(dim=1)[:, None, None])


def test_replicas_rest_as_each_alone():
    nets = [built(k) for k in range(3)]
    together = Replicas(nets).model
    x, target = given()
    many = x.expand(3, *x.shape), target.expand(3, *target.shape)
    opened = together.rest(many[0])
    closed = together.controlled(*many, together.authors_feedback(opened), opened)
    for k, net in enumerate(nets):
        alone = net.rest(x)
        torch.testing.assert_close(closed.y[k], net.controlled(x, target, net.authors_feedback(alone), alone).y)


@pytest.mark.parametrize(("sizes", "how"), [((3, 2), {}), ((3, 0, 2), {}), ((3, 2, 2), {"leak": 0.0})])
def test_what_cannot_be_built_is_refused(sizes, how):
    with pytest.raises(ValueError, match=r"^(A DisinhibitoryNet|k_p)"):
        DisinhibitoryNet(sizes, **how)
