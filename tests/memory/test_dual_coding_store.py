"""The last pairs as rows: the softmax by loops, the nearest row where it is sharp, and what a row more costs."""

import numpy as np
import pytest
import torch

from neuropil.data import move_active, sparse_patterns
from neuropil.memory import DualCodingStore, memory_cost


def stored(count, rows, seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    cues, contents = (sparse_patterns(count, 60, 5, generator) for _ in range(2))
    memory = DualCodingStore(60, 60, rows=rows, **settings)
    s = memory.initial()
    for cue, content in zip(cues, contents, strict=True):
        s = memory.write(s, cue, content)
    return memory, s, cues, contents


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_answers_are_those_of_loops(sharpness):
    memory, s, cues, _ = stored(20, 20, sharpness=sharpness, nearest=6)
    asked = move_active(cues, 2, torch.Generator().manual_seed(1))
    for question in asked:
        likeness = sharpness * np.array([float(row @ question) for row in s.language])
        if len(set(np.sort(likeness)[::-1][5:7])) == 1:  # of equally likely rows at the border some count
            continue
        nearest = np.argsort(-likeness)[:6]
        weights = np.exp(likeness[nearest]) / np.exp(likeness[nearest]).sum()
        expected = weights @ s.vision.numpy()[nearest]
        if np.abs(expected - 0.5).min() > 1e-6:
            assert memory.recall(s, question)[0].tolist() == (expected >= 0.5).tolist()


def test_the_last_rows_are_held_whole_and_no_more():
    memory, s, cues, contents = stored(25, 20, sharpness=50.0, nearest=1)
    found = [torch.equal(memory.recall(s, cue)[0], content) for cue, content in zip(cues, contents, strict=True)]
    assert found == [False] * 5 + [True] * 20
    assert all(torch.equal(memory.recall_cues(s, content)[0], cue) for cue, content in zip(cues[5:], contents[5:], strict=True))


def test_nothing_like_it_is_no_answer():
    memory = DualCodingStore(30, 30)
    s = memory.write(memory.initial(), (torch.arange(30) < 4).float(), torch.ones(30))
    assert int(memory.recall(s, (torch.arange(30) > 20).float())[0].sum()) == 0


def test_of_two_contents_under_a_cue_one_can_be_erased():
    memory, cue = DualCodingStore(30, 30), (torch.arange(30) < 4).float()
    one, other = (torch.arange(30) % 7 == k for k in (0, 1))
    s = memory.write(memory.write(memory.initial(), cue, one.float()), cue, other.float())
    assert torch.equal(memory.recall(memory.erase(s, cue, one.float()), cue)[0], other.float())
    assert int(memory.recall(memory.erase(s, cue), cue)[0].sum()) == 0


def test_rows_leave_as_many_synapses_as_a_matrix_has():
    memory = DualCodingStore(256, 256)
    assert memory.rows == 128
    assert memory_cost(memory, memory.initial(2)).synapses == 256 * 256


def test_settings_that_are_none():
    with pytest.raises(ValueError, match="rows of DualCodingStore"):
        DualCodingStore(5, 5, rows=0)
    with pytest.raises(ValueError, match="sharpness of DualCodingStore"):
        DualCodingStore(5, 5, sharpness=-1.0)
