"""ContextRecall: what is asked was told in the context, once, and no answer without the context is right."""

import pytest
import torch

from neuropil.data import ContextRecall

TASK = ContextRecall(keys=10, values=5, pairs=20, asked=4, gap=3, context=6)


def test_what_is_asked_was_told_in_the_context_of_the_sequence():
    x, target, relevant = TASK.draw(50, torch.Generator().manual_seed(0))
    assert x.shape == (50, 27, 10 + 5 + 1 + 6)
    assert (relevant.sum(1) == 4).all()
    assert not x[:, 20:23].any()
    for sequence, classes, own in zip(x, target, relevant, strict=True):
        told, asked = sequence[:20], sequence[-4:]
        context = told[own][:, 16:]
        assert (context == context[0]).all()
        assert context[0].norm() == pytest.approx(1, abs=1e-5)
        assert not (told[~own][:, 16:] == context[0]).all(1).any()
        assert (asked[:, 15] == 1).all()
        assert not asked[:, 10:15].any()
        for question, value in zip(asked, classes, strict=True):
            (place,) = torch.nonzero(own & (told[:, :10] == question[:10]).all(1))[:, 0]
            assert told[place, 10:15].argmax() == value


def test_the_latest_value_of_a_key_is_mostly_another():
    x, target, _ = TASK.draw(400, torch.Generator().manual_seed(1))
    keys, asked = x[:, :20, :10].argmax(2), x[:, -4:, :10].argmax(2)
    last = torch.stack([torch.where(keys == key[:, None], torch.arange(20), -1).amax(1) for key in asked.unbind(1)], 1)
    values = x[:, :20, 10:15].argmax(2).gather(1, last)
    assert 0.2 < (values == target).float().mean() < 0.75


def test_the_seed_decides():
    one, same, other = (TASK.draw(3, torch.Generator().manual_seed(seed)).x for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_more_asked_than_told_is_refused():
    with pytest.raises(ValueError, match="asked is at most the pairs and the keys"):
        ContextRecall(pairs=4, asked=5)
