"""SortOfClevr: every answer is what loops over the scene find, and guessing by kind is no answer."""

import numpy as np
import pytest
import torch

from neuropil.data import SortOfClevr

TASK = SortOfClevr(objects=5, apart=0.25, cells=6)
CENTRES = np.linspace(-1, 1, 6)


def coordinate(cells):
    """Where a bump lies, by the ratio of two neighbouring cells."""
    k = int(np.clip(cells.argmax(), 0, 4))
    width = 2 / 5
    return CENTRES[k] + width / 2 + width * np.log(cells[k + 1] / cells[k])


def test_answers_are_what_loops_find():
    x, target, kind = TASK.draw(300, torch.Generator().manual_seed(0))
    assert x.shape == (300, 6, TASK.channels)
    assert set(kind.tolist()) == set(range(6))
    for scene, answer, asked in zip(x.double().numpy(), target.tolist(), kind.tolist(), strict=True):
        objects, question = scene[:5], scene[5]
        assert question[19:25].argmax() == asked
        assert question[25:].sum() == (asked == 4)
        assert not question[:12].any()
        assert not question[17:19].any()
        assert not objects[:, 19:].any()
        colours, shapes = objects[:, 12:17].argmax(1), objects[:, 17:19].argmax(1)
        assert sorted(colours) == list(range(5))
        places = np.array([[coordinate(one[:6]), coordinate(one[6:12])] for one in objects])
        assert (np.abs(places) < 1.001).all()
        (own,) = np.flatnonzero(colours == question[12:17].argmax())
        gaps = {k: np.hypot(*(places[k] - places[own])) for k in range(5) if k != own}
        assert min(gaps.values()) > 0.249
        other = int(np.flatnonzero(colours == question[25:].argmax())[0])
        assert asked != 4 or other != own
        expected = (
            2 + shapes[own],
            int(places[own, 0] < 0),
            int(places[own, 1] > 0),
            4 + colours[min(gaps, key=gaps.get)],
            int(places[own, 0] < places[other, 0]),
            9 + sum(shapes[k] == shapes[own] for k in gaps),
        )
        assert answer == expected[asked]


def test_the_commonest_answer_of_a_kind_is_seldom_right():
    _, target, kind = SortOfClevr().draw(20_000, torch.Generator().manual_seed(1))
    shares = [target[kind == k].bincount().max().item() / (kind == k).sum().item() for k in range(6)]
    np.testing.assert_allclose(shares, [0.5, 0.5, 0.5, 1 / 6, 0.5, 10 / 32], atol=0.03)


def test_the_share_of_relational_questions_and_the_seed():
    for share in (0.0, 0.8, 1.0):
        kind = SortOfClevr(relational=share).draw(4000, torch.Generator().manual_seed(2)).kind
        assert (kind > 2).float().mean() == pytest.approx(share, abs=0.03)
    one, same, other = (TASK.draw(3, torch.Generator().manual_seed(seed)).x for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("given", "word"),
    [({"objects": 1}, "objects"), ({"apart": 0.9}, "find no room"), ({"relational": 1.5}, "relational"), ({"cells": 1}, "cells")],
)
def test_bad_settings(given, word):
    with pytest.raises(ValueError, match=word):
        SortOfClevr(**given)
