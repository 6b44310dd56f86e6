"""ContextRecall: what is asked was told in the context, once, and no answer without the context is right."""

import pytest
import torch

from neuropil.data import ContextRecall

TASK = ContextRecall(keys=10, values=5, pairs=20, asked=4, gap=3, contexts=6)


def test_what_is_asked_was_told_in_the_context_of_the_sequence():
    x, target, relevant = TASK.draw(50, torch.Generator().manual_seed(0))
    assert x.shape == (50, 28, 10 + 5 + 1 + 6)
    assert x.shape[1:] == (TASK.steps, TASK.channels)
    assert (relevant.sum(1) == 4).all()
    assert not x[:, 21:24].any()
    for sequence, classes, own in zip(x, target, relevant, strict=True):
        told, asked, context = sequence[1:21], sequence[-4:], sequence[0, 16:]
        assert context.sum() == 1
        assert not sequence[0, :16].any()
        assert (told.sum(1) == 3).all()
        assert (told[own][:, 16:] == context).all()
        assert not (told[~own][:, 16:] == context).all(1).any()
        assert (asked[:, 15:] == torch.cat((torch.ones(1), context))).all()
        assert not asked[:, 10:15].any()
        for question, value in zip(asked, classes, strict=True):
            (place,) = torch.nonzero(own & (told[:, :10] == question[:10]).all(1))[:, 0]
            assert told[place, 10:15].argmax() == value


def test_the_latest_value_of_a_key_is_mostly_another():
    x, target, _ = TASK.draw(400, torch.Generator().manual_seed(1))
    keys, asked = x[:, 1:21, :10].argmax(2), x[:, -4:, :10].argmax(2)
    last = torch.stack([torch.where(keys == key[:, None], torch.arange(20), -1).amax(1) for key in asked.unbind(1)], 1)
    values = x[:, 1:21, 10:15].argmax(2).gather(1, last)
    assert 0.2 < (values == target).float().mean() < 0.75


def test_the_seed_decides():
    one, same, other = (TASK.draw(3, torch.Generator().manual_seed(seed)).x for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_more_asked_than_told_is_refused():
    with pytest.raises(ValueError, match="asked is at most the pairs and the keys"):
        ContextRecall(pairs=4, asked=5)
