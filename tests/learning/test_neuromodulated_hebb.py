"""Neuro-modulated Hebbian learning: patches by numpy, filters that turn to what is there, off at rate 0, and the pictures that are seen."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from neuropil.learning import EntropyMinimisation, NeuromodulatedHebb, adapt, fit_of_filters, patches
from neuropil.networks import BatchNormConvNet


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network():
    return BatchNormConvNet(1, 12, 3, (6, 4), (5, 3), generator=generator())


def pictures(n=40, seed=1):
    return torch.rand(n, 1, 12, 12, generator=generator(seed))


def gains():
    return EntropyMinimisation(lambda parameters: torch.optim.SGD(parameters, lr=0.1), lambda model: model.blocks.norm1.parameters())


def test_patches_are_what_the_filters_see_at_length_1():
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False)
    x = torch.randn(2, 2, 6, 6, generator=generator())
    x[1] = 0
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = np.stack([padded[0, :, i : i + 3, j : j + 3].ravel() for i in (0, 2, 4) for j in (0, 2, 4)])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(patches(conv, x).numpy(), expected, rtol=1e-5)


def test_one_filter_turns_to_the_mean_patch_and_keeps_its_length():
    model, x = BatchNormConvNet(1, 12, 3, (1, 4), (5, 3), generator=generator()), pictures()
    length = model.blocks.conv1.weight.norm().item()
    rule = NeuromodulatedHebb("blocks.conv1", None, rate=0.5, temperature=1.0)
    for _ in range(200):
        rule.step(model, (x,), None)
    mean = patches(model.blocks.conv1, x).mean(0)
    found = model.blocks.conv1.weight.flatten()
    assert found.norm().item() == pytest.approx(length, rel=1e-5)
    assert torch.cosine_similarity(found, mean, dim=0).item() > 0.9999


def test_filters_come_to_fit_the_stream_better():
    model, x = network(), pictures(400)
    conv = model.blocks.conv1
    before = fit_of_filters(conv, x, 0.2)
    adapt(model, (x,), NeuromodulatedHebb("blocks.conv1", None, rate=0.2, temperature=0.2), batch_size=20)
    assert fit_of_filters(conv, x, 0.2) > before + 0.05


def test_at_rate_0_it_is_its_modulator_to_the_bit_and_without_modulator_hebbian_alone():
    x = pictures(60)
    one, two = network(), network()
    off = adapt(one, (x,), NeuromodulatedHebb("blocks.conv1", gains(), rate=0.0, temperature=0.2), batch_size=20)
    assert (off == adapt(two, (x,), gains(), batch_size=20)).all()
    alone = network()
    adapt(alone, (x,), NeuromodulatedHebb("blocks.conv1", None, rate=0.1, temperature=0.2), batch_size=20)
    start = network()
    for name, value in alone.named_parameters():
        assert (value == start.get_parameter(name)).all() == (name != "blocks.conv1.weight")
    both = network()
    scores = adapt(both, (x,), NeuromodulatedHebb("blocks.conv1", gains(), rate=0.1, temperature=0.2), batch_size=20)
    assert (scores != off).any()
    assert (both.blocks.norm1.weight != start.blocks.norm1.weight).any()


def test_the_hebbian_step_sees_the_pictures_it_is_shown():
    x, other = pictures(20), pictures(20, seed=9).square()
    rule = NeuromodulatedHebb("blocks.conv1", None, rate=0.2, temperature=0.2)
    shown, plain = network(), network()
    rule.step(shown, (x, other), None)
    rule.step(plain, (other,), None)
    assert (shown.blocks.conv1.weight == plain.blocks.conv1.weight).all()


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="takes an nn"):
        NeuromodulatedHebb("readout", None, rate=0.1, temperature=1.0).init(network())
    with pytest.raises(ValueError, match="rate of Hebbian learning"):
        NeuromodulatedHebb("blocks.conv1", None, rate=-0.1, temperature=1.0)
    model = copy.deepcopy(network())
    model.blocks.conv1.padding = "same"
    with pytest.raises(ValueError, match="padded by numbers"):
        patches(model.blocks.conv1, pictures(1))
