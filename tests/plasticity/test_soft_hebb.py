"""SoftHebb: the mean direction at length 1, scikit-learn's clusters, the batch form against single steps, and turning without growing."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from neuropil.plasticity import SoftHebb, compete, soft_hebb, turn


def test_one_neuron_comes_to_the_direction_of_the_mean_at_length_1():
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.normal([2.0, 1, 0, 0, -1], size=(6000, 5)))
    _, s = SoftHebb(5, 1, rate=0.002, weight=0.1 * torch.ones(1, 5)).double()(x)
    mean = x.mean(0) / x.mean(0).norm()
    w = s.w.detach()[0]
    assert w.norm().item() == pytest.approx(1, abs=0.02)
    assert (w / w.norm() @ mean).item() > 0.999


@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_competing_neurons_find_the_clusters_that_k_means_finds(temperature):
    random = np.random.default_rng(1)
    centres = random.normal(size=(4, 8))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    x = np.repeat(centres, 200, 0) + 0.1 * random.normal(size=(800, 8))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    found = KMeans(4, n_init=10, random_state=0).fit(x).cluster_centers_
    w = torch.from_numpy(centres + 0.4 * random.normal(size=(4, 8)))
    for _ in range(400):
        w = w + 0.5 * soft_hebb(w, torch.from_numpy(x), temperature=temperature)
    cosine = (w / w.norm(dim=1, keepdim=True)).numpy() @ (found / np.linalg.norm(found, axis=1, keepdims=True)).T
    assert cosine.max(1).min() > 0.999
    assert len(set(cosine.argmax(1))) == 4
    np.testing.assert_allclose(w.norm(dim=1).numpy(), 1, atol=0.01)


def test_the_batch_form_is_the_mean_of_single_steps():
    draws = torch.Generator().manual_seed(0)
    rule = SoftHebb(6, 3, rate=1.0, temperature=0.3, generator=draws).double()
    x = torch.randn(20, 6, generator=draws, dtype=torch.float64)
    _, s = rule.step(x)
    torch.testing.assert_close((s.w - rule.weight).mean(0), soft_hebb(rule.weight, x, temperature=0.3))


def test_one_step_by_hand():
    rule = SoftHebb(2, 2, rate=0.1, temperature=0.5, weight=torch.tensor([[1.0, 0.0], [0.0, 1.0]])).double()
    u, s = rule.step(torch.tensor([1.0, 0.5], dtype=torch.float64), modulator=torch.tensor([2.0, -1.0], dtype=torch.float64))
    assert u.tolist() == [1.0, 0.5]
    win = np.exp([2.0, 1.0]) / np.exp([2.0, 1.0]).sum()
    expected = [[1.0, 0.2 * win[0] * 0.5], [-0.1 * win[1] * 1.0, 1 - 0.1 * win[1] * 0.0]]
    np.testing.assert_allclose(s.w.detach().numpy(), expected, rtol=1e-6)


def test_turning_keeps_lengths_and_at_rate_0_every_bit():
    draws = torch.Generator().manual_seed(0)
    w, dw = 3 * torch.randn(5, 4, generator=draws), torch.randn(5, 4, generator=draws)
    w[2] = 0
    assert (turn(w, dw, 0.0) == w).all()
    moved = turn(w, dw, 0.3)
    torch.testing.assert_close(moved.norm(dim=1), w.norm(dim=1))
    assert (moved[0] != w[0]).any()
    assert (moved[2] == 0).all()


def test_a_hard_competition_has_one_winner():
    assert compete(torch.tensor([[0.2, 0.9, 0.9], [1.0, 0.0, 0.5]]), 0.0).tolist() == [[0, 1, 0], [1, 0, 0]]
    with pytest.raises(ValueError, match="temperature"):
        SoftHebb(2, 2, temperature=-1.0)
