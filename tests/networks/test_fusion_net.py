"""FusionNet: its sums by hand, its initial law, side by side, refusals."""

import pytest
import torch
from torch import nn

from neuropil.learning import Replicas
from neuropil.networks import MLP, FusionNet


def net(seed=0):
    draws = torch.Generator().manual_seed(seed)
    return FusionNet([MLP([6, 5, 4], generator=draws), MLP([3, 2], generator=draws)], [4, 2], 3, draws)


def test_heads_read_one_sense_and_the_fusion_all():
    model, a, b = net(), torch.randn(7, 6), torch.randn(7, 3)
    one, two, both = model(a, b)
    f, g = model.encoders[0](a), model.encoders[1](b)
    torch.testing.assert_close(one, f @ model.heads[0].weight.mT)
    torch.testing.assert_close(two, g @ model.heads[1].weight.mT)
    torch.testing.assert_close(both, f @ model.fusion.weight[:, :4].mT + g @ model.fusion.weight[:, 4:].mT)


def test_it_begins_with_its_declared_variance():
    wide = FusionNet([nn.Identity(), nn.Identity()], [300, 100], 50, torch.Generator().manual_seed(0))
    assert wide.fusion.weight.var().item() == pytest.approx(1 / 400, rel=0.03)
    assert wide.heads[1].weight.var().item() == pytest.approx(1 / 100, rel=0.05)
    assert (wide.fusion.bias == 0).all()


def test_replicas_are_each_alone():
    models = [net(0), net(1)]
    a, b = torch.randn(2, 7, 6), torch.randn(2, 7, 3)
    for k, found in enumerate(zip(*Replicas(models)(a, b), strict=True)):
        for own, one in zip(models[k](a[k], b[k]), found, strict=True):
            torch.testing.assert_close(own, one)


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="two encoders or more"):
        FusionNet([nn.Identity()], [3], 2)
    with pytest.raises(ValueError, match="takes 2 senses"):
        net()(torch.zeros(1, 6))
