import numpy as np
import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from neuropil.geometry import Ensembles, category_ensembles, hypergeometric_tail, layer_agreement

CLASSES, PER_CLASS, UNITS = 4, 60, 40


def planted(seed, *, inside=0.8, outside=0.05):
    """Ten units a class that prefer it, the first two of class 1 shared with class 0; trials in random order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(CLASSES), PER_CLASS))
    truth = np.zeros((CLASSES, UNITS), dtype=bool)
    for c in range(CLASSES):
        truth[c, 10 * c : 10 * c + 8] = True
    truth[0, 10:12] = True
    chance = np.where(truth[labels], inside, outside)
    active = rng.random(chance.shape) < chance
    return torch.from_numpy(active), torch.from_numpy(labels), torch.from_numpy(truth)


def test_tail_equals_scipy():
    rng = np.random.default_rng(0)
    total, drawn = 150, 40
    active = rng.integers(0, total + 1, 200)
    low, high = np.maximum(0, drawn - (total - active)), np.minimum(active, drawn)
    hits = rng.integers(low, high + 1)
    found = hypergeometric_tail(torch.from_numpy(hits), torch.from_numpy(active), drawn, total)
    np.testing.assert_allclose(found.numpy(), stats.hypergeom.sf(hits - 1, total, active, drawn), rtol=1e-9)


def test_tail_equals_fishers_exact_test():
    table = [[9, 3], [2, 16]]  # active and silent trials of the category, then of the others
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    found = hypergeometric_tail(torch.tensor([9]), torch.tensor([11]), 12, 30)
    assert found.item() == pytest.approx(expected, rel=1e-10)


def test_tail_refuses_impossible_counts():
    with pytest.raises(ValueError, match="hits"):
        hypergeometric_tail(torch.tensor([5]), torch.tensor([4]), 10, 20)


def test_planted_ensembles_are_recovered():
    active, labels, truth = planted(1)
    found = category_ensembles(active, labels, CLASSES)
    assert torch.equal(found.members, truth)
    assert_close(found.size, torch.tensor([10.0, 8, 8, 8], dtype=torch.float64) / UNITS)
    overlap = found.overlap
    assert overlap[0, 1].item() == pytest.approx(2 / 16)  # 10 and 8 members, 2 shared
    assert overlap[2, 3].item() == 0
    assert_close(overlap.diagonal(), torch.ones(CLASSES, dtype=torch.float64))
    assert found.mean_overlap == pytest.approx(2 / 16 / 6)


def test_size_counts_live_units_only():
    """Ten trials a class; unit 0 is class 0's, units 1 and 2 are class 1's, unit 3 fires once, unit 4 always, units 5 to 7 never."""
    labels = torch.arange(2).repeat_interleave(10)
    active = torch.zeros(20, 8, dtype=torch.bool)
    active[:10, 0] = active[10:, 1] = active[10:, 2] = active[0, 3] = active[:, 4] = True
    found = category_ensembles(active, labels, 2)
    assert found.members.nonzero().tolist() == [[0, 0], [1, 1], [1, 2]]
    assert found.live.tolist() == [True] * 5 + [False] * 3
    assert_close(found.size, torch.tensor([1 / 5, 2 / 5], dtype=torch.float64))
    assert_close(category_ensembles(active[:, :5], labels, 2).size, found.size)  # what does nothing changes nothing
    assert category_ensembles(active[:, 5:], labels, 2).size.tolist() == [0, 0]


def test_specificity_on_other_trials_is_the_planted_difference():
    found = category_ensembles(*planted(1)[:2], CLASSES)
    active, labels, _ = planted(2)
    specific = found.specificity(active, labels)
    assert specific[2].item() == pytest.approx(0.75, abs=0.06)
    # class 0 shares two of its ten units with class 1, which a third of the other trials activate at 0.8
    assert specific[0].item() == pytest.approx(0.75 - 0.2 * 0.75 / 3, abs=0.06)


def test_null_data_keep_the_family_wise_rate():
    alpha, runs, alarms = 0.2, 200, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        active = torch.from_numpy(rng.random((120, 20)) < rng.random(20))
        labels = torch.from_numpy(rng.integers(0, CLASSES, 120))
        alarms += int(category_ensembles(active, labels, CLASSES, alpha=alpha).members.any())
    assert alarms <= stats.binom.ppf(0.999, runs, alpha)
    assert alarms > 0


def test_holm_against_hand_worked_p_values():
    from neuropil.geometry.ensembles import _holm

    p = torch.tensor([[0.012, 0.04], [0.02, 0.001]], dtype=torch.float64)
    # at 0.05: 0.001 <= 0.05/4, 0.012 <= 0.05/3, 0.02 <= 0.05/2, 0.04 <= 0.05/1; at 0.03 it stops at 0.012 > 0.03/3
    assert _holm(p, 0.05).all()
    assert_close(_holm(p, 0.03), torch.tensor([[False, False], [False, True]]))


def test_minimum_share_drops_rare_preference():
    active, labels, truth = planted(3, inside=0.45, outside=0.0)
    found = category_ensembles(active, labels, CLASSES).members
    assert torch.equal(found[2:], truth[2:])
    assert not category_ensembles(active, labels, CLASSES, minimum_share=0.7).members.any()


def test_an_absent_category_recruits_nothing():
    active, labels, _ = planted(1)
    found = category_ensembles(active, labels, CLASSES + 1)
    assert not found.members[-1].any()
    assert found.specificity(active, labels)[-1].item() == 0
    assert found.overlap[-1].sum().item() == 0


def test_layer_agreement_is_pearson_over_pairs():
    rng = np.random.default_rng(5)
    first, second = (
        Ensembles(torch.from_numpy(rng.random((6, 30)) < 0.4), torch.ones(6, 30), torch.ones(30, dtype=torch.bool)) for _ in range(2)
    )
    pairs = np.triu_indices(6, 1)
    expected = np.corrcoef(first.overlap.numpy()[pairs], second.overlap.numpy()[pairs])[0, 1]
    assert layer_agreement(first, second) == pytest.approx(expected)
    assert layer_agreement(first, first) == pytest.approx(1)
    assert layer_agreement(first, Ensembles(torch.zeros(6, 30, dtype=torch.bool), torch.ones(6, 30), first.live)) == 0


def test_bad_input():
    active, labels, _ = planted(1)
    with pytest.raises(ValueError, match="as bool"):
        category_ensembles(active.float(), labels, CLASSES)
    with pytest.raises(ValueError, match="one label a trial"):
        category_ensembles(active, labels[1:], CLASSES)
    with pytest.raises(ValueError, match="alpha"):
        category_ensembles(active, labels, CLASSES, alpha=1.0)
    with pytest.raises(ValueError, match="3 or more"):
        layer_agreement(*[Ensembles(active[:2], active[:2], active[0])] * 2)
