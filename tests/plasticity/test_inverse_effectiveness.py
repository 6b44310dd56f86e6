"""Inverse effectiveness: probabilities by scipy, the factor's known values, direction and bounds."""

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax

from neuropil.plasticity import InverseEffectiveness, effectiveness


def test_effectiveness_is_the_mean_probability_of_the_true_class():
    random = np.random.default_rng(0)
    scores, target = random.normal(size=(3, 7, 4)), random.integers(0, 4, size=(3, 7))
    expected = np.take_along_axis(softmax(scores, -1), target[..., None], -1)[..., 0].mean(-1)
    np.testing.assert_allclose(effectiveness(torch.from_numpy(scores), torch.from_numpy(target)).numpy(), expected)


def test_the_factor_at_known_ratios():
    factor = InverseEffectiveness()
    alone = torch.tensor([0.5, 0.0, 0.4, 0.9], dtype=torch.float64)
    found = factor([alone, alone], torch.tensor([0.5, 0.5, 0.8, 0.1], dtype=torch.float64))
    expected = [1.0, 1 + math.tanh(1), 1 + math.tanh(0.5), 1 + math.tanh(-8)]
    assert found.tolist() == pytest.approx(expected)
    flipped = InverseEffectiveness(-1.0)([alone, alone], torch.tensor([0.5, 0.5, 0.8, 0.1], dtype=torch.float64))
    assert (found + flipped).tolist() == pytest.approx([2.0] * 4)
    assert (InverseEffectiveness(0.0)([alone], alone + 0.3) == 1).all()


def test_weaker_senses_at_the_same_whole_raise_it_and_nothing_turns_learning_round():
    draws = torch.Generator().manual_seed(0)
    weak, more, whole = torch.tensor([[0.0], [0.0], [0.4]]) + 0.6 * torch.rand(3, 1000, generator=draws, dtype=torch.float64)
    factor = InverseEffectiveness()
    assert (factor([weak, weak], whole) > factor([weak, weak + 0.05 + more], whole)).all()
    assert factor([weak, more], whole).min() >= 0
    assert factor([weak, more], whole).max() < 1.77


def test_no_gradient_flows_through_it():
    one = torch.tensor([0.3], requires_grad=True)
    assert not InverseEffectiveness()([one], torch.tensor([0.5])).requires_grad


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="from -1 to 1, 2"):
        InverseEffectiveness(2.0)
    with pytest.raises(ValueError, match="none alone"):
        InverseEffectiveness()([], torch.ones(1))
