from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from neuropil.networks import MLP


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_two_layers_by_hand() -> None:
    net = MLP([2, 2, 1])
    with torch.no_grad():
        net.layers.linear1.weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 1.0]]))
        net.layers.linear1.bias.copy_(torch.tensor([0.5, -1.0]))
        net.layers.linear2.weight.copy_(torch.tensor([[2.0, -1.0]]))
        net.layers.linear2.bias.copy_(torch.tensor([0.25]))
    # x = (1, 1): hidden before relu (-0.5, 3), after (0, 3), out 0 - 3 + 0.25; x = (2, 0): (2.5, 5), 5 - 5 + 0.25
    assert net(torch.tensor([[1.0, 1.0], [2.0, 0.0]])).tolist() == [[-2.75], [0.25]]
    # at (1, 1) only the second unit is active: dy/dx = -1 * (3, 1)
    x = torch.tensor([1.0, 1.0], requires_grad=True)
    net(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [-3.0, -1.0]


def test_one_layer_is_linear_and_bias_can_go() -> None:
    net = MLP([3, 2], bias=False, generator=seeded())
    x = torch.randn(4, 5, 3, generator=seeded(1))
    torch.testing.assert_close(net(x), torch.einsum("tbi,oi->tbo", x, net.layers.linear1.weight))
    assert [name for name, _ in net.named_parameters()] == ["layers.linear1.weight"]


def test_activation_is_the_callers() -> None:
    net = MLP([2, 4, 4, 1], activation=nn.Tanh, generator=seeded())
    assert [name for name, _ in net.layers.named_children()] == ["linear1", "activation1", "linear2", "activation2", "linear3"]
    x = torch.randn(3, 2, generator=seeded(1))
    by_hand = x
    for linear in (net.layers.linear1, net.layers.linear2):
        by_hand = torch.tanh(by_hand @ linear.weight.T + linear.bias)
    torch.testing.assert_close(net(x), by_hand @ net.layers.linear3.weight.T + net.layers.linear3.bias)


def test_initial_variances_follow_the_declared_law() -> None:
    sizes = [400, 300, 200]
    net = MLP(sizes, generator=seeded())
    for linear, gain, fan_in, fan_out in ((net.layers.linear1, 2, 400, 300), (net.layers.linear2, 1, 300, 200)):
        variance = gain / fan_in
        n = fan_in * fan_out
        # of n normal numbers the mean has standard deviation sqrt(v / n), the variance v sqrt(2 / n); five of them
        assert abs(linear.weight.mean().item()) < 5 * math.sqrt(variance / n)
        assert abs(linear.weight.var().item() - variance) < 5 * variance * math.sqrt(2 / n)
        assert linear.bias.abs().max() == 0


def test_he_initialisation_keeps_the_second_moment_through_depth() -> None:
    # he2015: with variance 2 / fan_in a deep relu network neither explodes nor vanishes
    net = MLP([512] * 11, generator=seeded())
    hidden = net.layers[:-1](torch.randn(256, 512, generator=seeded(1)))
    assert 0.5 < hidden.square().mean().item() < 2


def test_the_generator_alone_decides() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, again, other = MLP([5, 4, 3], generator=seeded(1)), MLP([5, 4, 3], generator=seeded(1)), MLP([5, 4, 3], generator=seeded(2))
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first.layers.linear2.weight, again.layers.linear2.weight)
    assert not torch.equal(first.layers.linear2.weight, other.layers.linear2.weight)


def test_state_goes_round_and_types_move() -> None:
    first, second = MLP([5, 4, 3], generator=seeded(1)), MLP([5, 4, 3], generator=seeded(2))
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 5, generator=seeded())
    assert torch.equal(first(x), second(x))
    assert first.double()(x.double()).dtype == torch.float64


@pytest.mark.parametrize("sizes", [[3], [], [3, 0, 2]])
def test_unusable_sizes(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="at least two sizes from 1 up"):
        MLP(sizes)


@pytest.mark.parametrize("shape", [(2, 28, 28), (2, 3), ()])
def test_inputs_of_another_width(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes inputs \[..., 4\]"):
        MLP([4, 2])(torch.zeros(shape))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_a_gpu_it_computes_the_same() -> None:
    net = MLP([50, 40, 10], generator=seeded()).double()
    x = torch.randn(7, 50, generator=seeded(1)).double()
    torch.testing.assert_close(net.to("cuda")(x.cuda()).cpu(), net.to("cpu")(x))
