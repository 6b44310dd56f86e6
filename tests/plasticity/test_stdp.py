"""STDP: its window is its two exponentials, trains are the sum over pairs, the third factor gates, eligibility waits for it."""

import math

import numpy as np
import pytest
import torch

from neuropil.plasticity import STDP

A, B, PLUS, MINUS, DT = 0.01, 0.008, 0.017, 0.034, 1e-3


def rule(size=1, out_size=1, **settings):
    weight = torch.full((out_size, size), 0.5, dtype=torch.float64)
    times = {"tau_plus": PLUS, "tau_minus": MINUS, "dt": DT}
    return STDP(size, out_size, weight=weight, potentiation=A, depression=B, **{**times, **settings}).double()


def change(pre, post, **settings):
    """The change of weights [M, N] by spike trains ``pre`` [T, N] and ``post`` [T, M]."""
    synapse = rule(pre.shape[1], post.shape[1], **settings)
    _, s = synapse(torch.from_numpy(pre), post=torch.from_numpy(post))
    return (s.w - 0.5).detach().numpy()


def window(lag):
    return A * math.exp(-lag / PLUS) if lag > 0 else -B * math.exp(lag / MINUS) if lag < 0 else 0.0


@pytest.mark.parametrize("steps", [-60, -10, -1, 0, 1, 10, 60])
def test_isolated_pairs_trace_the_two_exponentials(steps):
    pre, post = np.zeros((130, 1)), np.zeros((130, 1))
    pre[65], post[65 + steps] = 1, 1
    assert change(pre, post).item() == pytest.approx(window(steps * DT), rel=1e-5, abs=1e-12)


def test_trains_are_the_sum_over_all_pairs():
    random = np.random.default_rng(0)
    pre, post = (random.random((80, 3)) < 0.15).astype(float), (random.random((80, 2)) < 0.15).astype(float)
    expected = np.zeros((2, 3))
    for m in range(2):
        for n in range(3):
            for t_post in np.flatnonzero(post[:, m]):
                expected[m, n] += sum(window((t_post - t_pre) * DT) for t_pre in np.flatnonzero(pre[:, n]))
    assert np.abs(expected).min() > 1e-3
    np.testing.assert_allclose(change(pre, post, bounds=None), expected, rtol=1e-4)


def test_a_bound_holds():
    pre, post = np.zeros((400, 1)), np.zeros((400, 1))
    pre[0::4], post[1::4] = 1, 1
    assert change(pre, post, tau_minus=1e-3).item() == 0.5
    assert change(post, pre, tau_plus=1e-3, bounds=(0.2, 1.0)).item() == pytest.approx(-0.3)


def test_the_output_is_the_current_of_the_weights_before_the_change():
    synapse = rule(2, 3)
    x = torch.rand(5, 2, dtype=torch.float64)
    y, s = synapse.step(x, post=torch.ones(5, 3, dtype=torch.float64))
    torch.testing.assert_close(y, 0.5 * x.sum(-1, keepdim=True).expand(5, 3))
    assert s.w.shape == (5, 3, 2)


def test_the_modulator_scales_and_turns_the_change():
    pre, post = torch.zeros(2, 1, 1, dtype=torch.float64), torch.zeros(2, 1, 1, dtype=torch.float64)
    pre[0], post[1] = 1, 1
    for value in (0.0, 2.0, -1.0):
        modulator = torch.full((2, 1, 1), value, dtype=torch.float64)
        _, s = rule()(pre, post=post, modulator=modulator)
        assert (s.w - 0.5).item() == pytest.approx(value * window(DT), rel=1e-6, abs=1e-12)


def test_one_modulator_a_neuron_reaches_only_that_neuron():
    pre, post = torch.zeros(2, 1, 3, dtype=torch.float64), torch.zeros(2, 1, 2, dtype=torch.float64)
    pre[0], post[1] = 1, 1
    _, s = rule(3, 2)(pre, post=post, modulator=torch.tensor([0.0, 1.0], dtype=torch.float64).expand(2, 1, 2))
    assert (s.w[0, 0] == 0.5).all()
    assert (s.w[0, 1] > 0.5).all()


def test_a_late_reward_reaches_a_pair_through_its_eligibility():
    pre, post, reward = (torch.zeros(60, 1, 1, dtype=torch.float64) for _ in range(3))
    pre[0], post[5], reward[45] = 1, 1, 1
    _, s = rule(tau_eligibility=0.05)(pre, post=post, modulator=reward)
    expected = window(5 * DT) * math.exp(-40 * DT / 0.05)
    assert (s.w - 0.5).item() == pytest.approx(expected, rel=1e-5)
    _, s = rule()(pre, post=post, modulator=reward)
    assert s.w.item() == 0.5  # without eligibility the reward comes too late


def test_a_silent_target_changes_nothing():
    _, s = rule(3, 2)(torch.ones(20, 4, 3, dtype=torch.float64))
    assert (s.w == 0.5).all()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tau_plus": 0.0}, "tau_plus is above 0"),
        ({"tau_minus": 5e-4}, "at most tau_minus"),
        ({"dt": None}, "dt is missing"),
        ({"bounds": (1.0, 0.0)}, "lower one first"),
        ({"bounds": (0.6, 1.0)}, "widen the bounds"),
    ],
)
def test_bad_settings(settings, says):
    with pytest.raises(ValueError, match=says):
        rule(**settings)


def test_second_and_third_factors_that_do_not_fit():
    x = torch.zeros(4, 3, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"post of STDP has shape \[4, 3\]; accepted here is \[4, 2\]"):
        rule(3, 2).step(x, post=x)
    with pytest.raises(ValueError, match=r"modulator of STDP has shape \[4, 3\]; accepted here is \[4, 1\] or \[4, 2\]"):
        rule(3, 2).step(x, modulator=x)
    with pytest.raises(TypeError, match="floating"):
        rule(3, 2).step(x, modulator=1.0)
