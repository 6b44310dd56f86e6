"""Copying: what is asked for is what was shown, read off by a loop; gaps and lengths as told."""

import pytest
import torch

from neuropil.data import Copying

LENGTH, GAP = torch.tensor([1, 4, 3, 2]), torch.tensor([0, 2, 7, 3])


def test_what_is_asked_for_was_shown_in_this_order_and_nothing_else_is():
    task = Copying(5)
    x, target, asked = task.draw(LENGTH, GAP, torch.Generator().manual_seed(0))
    assert x.shape == (2 * 3 + 7 + 1, 4, task.channels) == (14, 4, 7)
    for item, (length, gap) in enumerate(zip(LENGTH.tolist(), GAP.tolist(), strict=True)):
        for moment in range(14):
            source = moment - (length + gap + 1)
            assert bool(asked[moment, item]) == (0 <= source < length)
            assert torch.equal(target[moment, item], x[source, item, :5] if 0 <= source < length else torch.zeros(5))
            assert x[moment, item, 5] == (moment < length)
            assert x[moment, item, 6] == (moment == length + gap)
            assert moment < length or x[moment, item, :5].sum() == 0


def test_bits_are_even_and_sequences_may_be_given_room():
    length = torch.full((2000,), 3)
    x, target, asked = Copying(4).draw(length, length, torch.Generator().manual_seed(1), steps=20)
    assert len(x) == len(target) == len(asked) == 20
    assert x[:3, :, :4].mean().item() == pytest.approx(0.5, abs=0.01)
    assert x[10:].sum() == target[10:].sum() == asked[10:].sum() == 0
    again = Copying(4).draw(length, length, torch.Generator().manual_seed(1), steps=20)
    assert torch.equal(again.x, x)


@pytest.mark.parametrize(
    ("length", "gap", "steps", "said"),
    [
        ([0, 1], [0, 0], None, "Lengths are 1 or more"),
        ([1], [-1], None, "gaps 0 or more"),
        ([1, 2], [0], None, "one of each"),
        ([3], [1], 7, "steps"),
    ],
)
def test_what_makes_no_sequence_is_refused(length, gap, steps, said):
    with pytest.raises(ValueError, match=said):
        Copying(2).draw(torch.tensor(length), torch.tensor(gap), torch.Generator(), steps=steps)
    with pytest.raises(TypeError, match="bits"):
        Copying(2.5)
