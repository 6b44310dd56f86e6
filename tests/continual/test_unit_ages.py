import itertools

import numpy as np
import pytest
import torch

from neuropil.continual import UnitAges, leading_units


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_leading_units_are_the_fewest_that_carry_the_share(share):
    """Every subset is tried: none smaller carries as much."""
    for seed in range(20):
        activity = np.random.default_rng(seed).exponential(size=8)
        chosen = leading_units(torch.from_numpy(activity), share).numpy()
        carried, total = activity[chosen].sum(), activity.sum()
        assert carried >= share * total * (1 - 1e-12)
        if chosen.sum() > 1:
            best = max(sum(some) for some in itertools.combinations(activity, int(chosen.sum()) - 1))
            assert best < share * total
        assert activity[chosen].min() >= activity[~chosen].max(initial=0)


def test_silent_units_never_lead_but_one_of_a_silent_layer():
    assert leading_units(torch.tensor([0.0, 2.0, 0.0, 1.0]), 1.0).tolist() == [False, True, False, True]
    assert leading_units(torch.zeros(3), 0.9).tolist() == [True, False, False]
    assert leading_units(torch.ones(4), 0.5).tolist() == [True, True, False, False]


def test_a_unit_lives_through_its_ages():
    """Selected, then in the episode that is replayed, then consolidated: by hand, for one replayed episode and for none."""
    ages = UnitAges([4, 3])
    ages.select([torch.tensor([5.0, 4.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])], 0.9)
    assert [layer.tolist() for layer in ages.ages] == [[1, 1, 0, 0], [0, 1, 0]]
    ages.select([torch.tensor([5.0, 0.0, 4.0, 0.0]), torch.tensor([1.0, 0.0, 0.0])], 0.9)
    assert [layer.tolist() for layer in ages.ages] == [[1, 0, 1, 0], [1, 0, 0]]
    ages.promote()
    assert [layer.tolist() for layer in ages.ages] == [[2, 0, 2, 0], [2, 0, 0]]
    assert [layer.tolist() for layer in ages.frozen(0)] == [[True, False, True, False], [True, False, False]]
    assert not any(layer.any() for layer in ages.frozen(1))
    ages.select([torch.tensor([0.0, 1.0, 8.0, 1.0]), torch.tensor([8.0, 1.0, 1.0])], 0.85)
    assert [layer.tolist() for layer in ages.ages] == [[2, 1, 2, 0], [2, 1, 0]]
    ages.promote()
    assert [layer.tolist() for layer in ages.ages] == [[3, 2, 3, 0], [3, 2, 0]]
    assert [layer.tolist() for layer in ages.frozen(1)] == [[True, False, True, False], [True, False, False]]
    assert [layer.tolist() for layer in ages.frozen(1, below=1)] == [[True, True, True, False], [True, False, False]]
    assert [layer.tolist() for layer in ages.frozen(1, below=2)] == [[True, True, True, False], [True, True, False]]
    assert [layer.tolist() for layer in ages.at_least(2)] == [[True, True, True, False], [True, True, False]]


def test_older_units_count_towards_the_share_and_leave_others_free():
    ages = UnitAges([3])
    ages.select([torch.tensor([1.0, 0.0, 0.0])], 0.5)
    ages.promote()
    ages.select([torch.tensor([9.0, 1.0, 0.5])], 0.5)
    assert ages.ages[0].tolist() == [2, 0, 0]
    ages.select([torch.tensor([0.0, 1.0, 0.5])], 1.0)
    assert ages.ages[0].tolist() == [2, 1, 1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: UnitAges([]), "one layer or more"),
        (lambda: UnitAges([3, 0]), r"\[3, 0\] was given"),
        (lambda: UnitAges([3]).select([torch.ones(4)], 0.5), r"\[\[4\]\] was given"),
        (lambda: UnitAges([3]).frozen(1, below=2), "0 to 1, 2 was given"),
        (lambda: UnitAges([3]).frozen(1, below=-1), "-1 was given"),
        (lambda: leading_units(torch.tensor([1.0, -1.0]), 0.5), "rectify them first"),
        (lambda: leading_units(torch.ones(2), 1.5), "1.5 was given"),
    ],
)
def test_what_it_cannot_take_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
