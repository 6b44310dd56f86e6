from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.networks import ConvNet


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_hand(net: ConvNet, x: Tensor) -> Tensor:
    """The same network as matrix products on unfolded patches, without a convolution."""
    for k in range(1, sum(isinstance(m, nn.Conv2d) for m in net.blocks) + 1):
        conv = net.blocks.get_submodule(f"conv{k}")
        patches = F.unfold(x, 3, padding=1)
        y = (conv.weight.flatten(1) @ patches + conv.bias[:, None]).reshape(len(x), -1, *x.shape[2:]).clamp(min=0)
        side = y.shape[-1] // 2
        x = y[..., : 2 * side, : 2 * side].reshape(*y.shape[:2], side, 2, side, 2).amax((3, 5))
    hidden = (x.flatten(1) @ net.hidden.weight.T + net.hidden.bias).clamp(min=0)
    return hidden @ net.readout.weight.T + net.readout.bias


@pytest.mark.parametrize(("channels", "size", "widths"), [(1, 28, (4, 6)), (3, 32, (4, 5, 6)), (1, 14, (3, 3))])
def test_values_and_gradients_equal_matrix_products(channels: int, size: int, widths: tuple[int, ...]) -> None:
    net = ConvNet(channels, size, 7, widths, 16, generator=seeded()).double()
    x = torch.randn(3, channels, size, size, generator=seeded(1), dtype=torch.float64)
    torch.testing.assert_close(net(x), by_hand(net, x))
    parameters = list(net.parameters())
    ours = torch.autograd.grad(net(x).square().sum(), parameters)
    theirs = torch.autograd.grad(by_hand(net, x).square().sum(), parameters)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_a_picture_moved_by_a_stride_moves_the_features() -> None:
    net = ConvNet(1, 28, generator=seeded())
    x = torch.zeros(1, 1, 28, 28)
    x[..., 8:12, 8:12] = torch.randn(4, 4, generator=seeded(1))
    moved = net.blocks(x.roll((4, 4), (2, 3)))
    torch.testing.assert_close(moved, net.blocks(x).roll((1, 1), (2, 3)))


def test_initial_variances_follow_the_declared_law() -> None:
    net = ConvNet(3, 32, 50, (32, 64), 128, generator=seeded())
    laws = {"blocks.conv1": 2 / 27, "blocks.conv2": 2 / 288, "hidden": 2 / (64 * 64), "readout": 1 / 128}
    for name, variance in laws.items():
        layer = net.get_submodule(name)
        n = layer.weight.numel()
        assert abs(layer.weight.mean().item()) < 5 * math.sqrt(variance / n), name
        assert abs(layer.weight.var().item() - variance) < 5 * variance * math.sqrt(2 / n), name
        assert layer.bias.abs().max() == 0


def test_the_generator_alone_decides() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    x = torch.randn(1, 1, 28, 28, generator=seeded(9))
    first, again, other = (ConvNet(generator=seeded(seed))(x) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_unusable_numbers_and_pictures() -> None:
    with pytest.raises(ValueError, match="cannot be halved 5 times"):
        ConvNet(size=28, widths=(8,) * 5)
    with pytest.raises(ValueError, match="numbers from 1 up"):
        ConvNet(channels=0)
    with pytest.raises(ValueError, match="numbers from 1 up"):
        ConvNet(widths=())
    for shape in [(2, 28, 28), (2, 3, 28, 28), (2, 1, 32, 32)]:
        with pytest.raises(ValueError, match=r"takes pictures \[B, 1, 28, 28\]"):
            ConvNet()(torch.zeros(shape))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_a_gpu_it_computes_the_same() -> None:
    net = ConvNet(generator=seeded()).double()
    x = torch.randn(3, 1, 28, 28, generator=seeded(1)).double()
    torch.testing.assert_close(net.to("cuda")(x.cuda()).cpu(), net.to("cpu")(x))
