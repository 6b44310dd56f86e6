"""Three-factor rule: sums over pairs by numpy, least squares where the second factor is the error, and what the modulator gates."""

import numpy as np
import pytest
import torch

from neuropil.plasticity import Neuromodulator, ThreeFactorHebb

DT, TAU, RATE = 1e-3, 0.05, 0.1


def test_a_late_modulator_turns_the_discounted_sum_of_coincidences_into_weight():
    random = np.random.default_rng(0)
    x, post = random.normal(size=(60, 3)), random.normal(size=(60, 2))
    modulator = torch.zeros(60, 1, dtype=torch.float64)
    modulator[-1] = -0.7
    rule = ThreeFactorHebb(3, 2, rate=RATE, tau_eligibility=TAU, dt=DT).double()
    _, s = rule(torch.from_numpy(x), post=torch.from_numpy(post), modulator=modulator)
    discount = np.exp(-DT * np.arange(60)[::-1] / TAU)
    expected = rule.weight.detach().numpy() - 0.7 * RATE * (discount[:, None] * post).T @ x
    np.testing.assert_allclose(s.w.detach().numpy(), expected, rtol=1e-6)


def test_with_the_error_as_second_factor_it_ends_at_least_squares():
    random = np.random.default_rng(1)
    x = random.normal(size=(200, 4))
    target = x @ random.normal(size=(4, 2)) + 0.1 * random.normal(size=(200, 2))
    rule = ThreeFactorHebb(4, 2, rate=0.002).double()
    best = np.linalg.lstsq(x, target, rcond=None)[0].T
    s = rule.initial()
    with torch.no_grad():
        for k in range(200 * 40):
            now = torch.from_numpy(x[k % 200])
            _, s = rule.step(now, s, post=torch.from_numpy(target[k % 200]) - s.w @ now)
    assert np.abs(s.w.numpy() - best).max() < 0.01


def test_only_gated_moments_are_learned_and_the_gate_may_be_one_a_neuron():
    x, post = torch.ones(4, 2, dtype=torch.float64), torch.ones(4, 3, dtype=torch.float64)
    gate = torch.tensor([[0.0, 0, 0], [1, 0, 2], [0, 0, 0], [1, 0, 0]], dtype=torch.float64)
    rule = ThreeFactorHebb(2, 3, rate=RATE, weight=torch.zeros(3, 2)).double()
    _, s = rule(x, post=post, modulator=gate)
    assert s.w.tolist() == [[pytest.approx(2 * RATE)] * 2, [0, 0], [pytest.approx(2 * RATE)] * 2]


def test_without_a_second_factor_it_is_hebbs_own_activity():
    rule = ThreeFactorHebb(2, 1, rate=RATE, weight=torch.tensor([[0.5, -1.0]])).double()
    y, s = rule.step(torch.tensor([2.0, 3.0], dtype=torch.float64))
    assert y.item() == -2
    assert s.w.flatten().tolist() == pytest.approx([0.5 - 0.4, -1 - 0.6])


def test_reward_above_what_is_expected_strengthens_what_was_just_active():
    """The trace of a neuromodulator as the third factor: coincidences before a release gain, those long before gain less."""
    release = torch.zeros(100, 1, dtype=torch.float64)
    release[60] = 1
    modulator, _ = Neuromodulator(1, tau=0.005, dt=DT).double()(release)
    x = torch.zeros(100, 3, dtype=torch.float64)
    x[20, 0], x[55, 1], x[90, 2] = 1, 1, 1
    rule = ThreeFactorHebb(3, 1, rate=RATE, tau_eligibility=0.02, dt=DT, weight=torch.zeros(1, 3)).double()
    _, s = rule(x, post=torch.ones(100, 1, dtype=torch.float64), modulator=modulator)
    early, just, after = s.w.flatten().tolist()
    assert just > 5 * early > 0
    assert after < 0.01 * just


def test_times_are_checked():
    with pytest.raises(ValueError, match="dt is missing"):
        ThreeFactorHebb(2, 1, tau_eligibility=0.1)
