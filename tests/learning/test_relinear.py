import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from neuropil.learning import Backprop, ReLinear, Replicas, fit
from neuropil.networks import BatchNormMLP
from neuropil.synapses import Quadratic


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)


def data():
    return torch.randn(60, 5, generator=generator(1)), torch.randint(3, (60,), generator=generator(2))


def quadratic_net():
    draws = generator()
    return BatchNormMLP([5, 8, 8, 3], layer=lambda n, m: Quadratic(n, m, generator=draws), generator=draws)


class Linear(nn.Module):
    """torch's linear layer, begun at a quadratic layer's linear part."""

    def __init__(self, of):
        super().__init__()
        self.linear = nn.Linear(of.size, of.out_size)
        with torch.no_grad():
            self.linear.weight.copy_(of.weight)
            self.linear.bias.copy_(of.bias)

    def forward(self, x):
        return self.linear(x)


def test_gamma_0_trains_torchs_linear_network_to_rounding():
    quadratic, begun = quadratic_net(), iter([part for part in quadratic_net().modules() if isinstance(part, Quadratic)])
    plain = BatchNormMLP([5, 8, 8, 3], layer=lambda n, m: Linear(next(begun)), generator=generator())
    plain.layers.readout.load_state_dict(quadratic.layers.readout.state_dict())
    one = fit(quadratic, data(), ReLinear(sgd, cross_entropy, gamma=0.0), epochs=5, batch_size=20, seed=3)
    two = fit(plain, data(), Backprop(sgd, cross_entropy), epochs=5, batch_size=20, seed=3)
    assert one.series("loss") == pytest.approx(two.series("loss"), rel=1e-5)
    torch.testing.assert_close(quadratic.layers.layer1.weight, plain.layers.layer1.linear.weight, rtol=1e-4, atol=1e-5)
    for part in (quadratic.layers.layer1, quadratic.layers.layer2):
        assert all((parameter == 0).all() for parameter in part.quadratic_parameters())


def test_quadratic_parameters_step_gamma_times_as_far():
    moved = {}
    for gamma in (1.0, 0.01):
        net = quadratic_net()
        rule = ReLinear(lambda groups: torch.optim.SGD(groups, lr=0.1), cross_entropy, gamma=gamma)
        before = [p.detach().clone() for p in net.layers.layer1.parameters()]
        rule.step(net, data(), rule.init(net))
        moved[gamma] = [p.detach() - b for p, b in zip(net.layers.layer1.parameters(), before, strict=True)]
    names = [name for name, _ in net.layers.layer1.named_parameters()]
    for name, fast, slow in zip(names, moved[1.0], moved[0.01], strict=True):
        torch.testing.assert_close(slow, fast if name in ("weight", "bias") else 0.01 * fast, rtol=1e-4, atol=1e-7)


def test_decay_pulls_quadratic_parameters_to_0_and_leaves_the_others():
    net = BatchNormMLP([5, 4, 3], layer=lambda n, m: Quadratic(n, m, start="random", generator=generator()))
    rule = ReLinear(lambda groups: torch.optim.SGD(groups, lr=0.1), lambda output, target: 0.0 * output.sum(), gamma=0.5, decay=0.2)
    layer = net.layers.layer1
    before = layer.weight.detach().clone(), layer.square_weight.detach().clone()
    rule.step(net, data(), rule.init(net))
    torch.testing.assert_close(layer.weight.detach(), before[0])
    torch.testing.assert_close(layer.square_weight.detach(), before[1] * (1 - 0.5 * 0.1 * 0.2))


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="has none; use Backprop"):
        ReLinear(sgd, cross_entropy).init(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="gamma is 0 or more"):
        ReLinear(sgd, cross_entropy, gamma=-1.0)
    replicas = Replicas([quadratic_net(), quadratic_net()])
    assert ReLinear(sgd, cross_entropy).hindrance(replicas) == "ReLinear teaches one model at a time"
