"""Pairs through the codes of a Sparsey field: reading by hand, codes that familiarity keeps, densities by their closed form, draws that are even."""

import pytest
import torch
from torch.testing import assert_close

from neuropil.data import sparse_patterns
from neuropil.memory import SparseyMemory, memory_cost


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def written(memory, cues, contents):
    s = memory.initial()
    for cue, content in zip(cues, contents, strict=True):
        s = memory.write(s, cue, content)
    return s


def test_a_read_by_hand():
    """Two modules of two cells. The cue reaches cell 1 of the first module most, nothing in the second."""
    memory = SparseyMemory(3, 2, modules=2, cells=2)
    w = torch.tensor([[[0.0, 1], [0, 0]], [[1, 1], [0, 0]], [[0, 0], [1, 0]]])
    d = torch.tensor([[[1.0, 0], [1, 1]], [[0, 1], [1, 1]]])
    found, _ = memory.recall(memory.State(w, d, memory.first), torch.tensor([1.0, 1, 0]))
    assert_close(found, torch.tensor([0.0, 0.5]))
    assert_close(memory.recall(memory.State(w, d, memory.first), torch.zeros(3))[0], torch.zeros(2))


def test_a_familiar_cue_keeps_its_code_and_without_gain_it_gets_another():
    cue, contents = (torch.arange(40) < 5).float(), sparse_patterns(2, 40, 5, generator(1))
    for gain, codes in ((100.0, 1), (0.0, 2)):
        s = written(SparseyMemory(40, 40, modules=10, cells=6, gain=gain, generator=generator()), cue.expand(2, -1), contents)
        assert int(s.w[0].sum(-1).amax()) == codes


def test_without_gain_synapses_fill_as_by_their_closed_form():
    """A write sets each synapse of an active cell with probability 1 / C: after M writes a share 1 - (1 - a / (N C))^M is on."""
    count, cells, active = 300, 60, 4
    draws = generator(2)
    cues, contents = (sparse_patterns(count, cells, active, draws) for _ in range(2))
    memory = SparseyMemory(cells, cells, modules=40, cells=8, gain=0.0, generator=generator(3))
    s = written(memory, cues, contents)
    expected = 1 - (1 - active / (cells * 8)) ** count
    for synapses in (s.w, s.d):
        assert float(synapses.mean()) == pytest.approx(expected, abs=0.01)


def test_winners_are_drawn_evenly_and_apart():
    """Each cell of a module wins as often, and two modules are independent."""
    memory = SparseyMemory(1000, 1, modules=2, cells=4, gain=0.0, generator=generator(5))
    s = written(memory, torch.eye(1000), torch.ones(1000, 1))
    together = s.w[:, 0].T @ s.w[:, 1]
    assert_close(together, torch.full((4, 4), 1000 / 16), atol=10, rtol=0)


def test_erasing_without_a_content_forgets_the_code_alone():
    memory = SparseyMemory(24, 24, modules=4, cells=3, generator=generator())
    cue = (torch.arange(24) < 3).float()
    s = memory.erase(memory.write(memory.initial(), cue, cue), cue)
    assert int(s.w.sum()) == 0
    assert int(s.d.sum()) == 12
    assert_close(memory.recall(s, cue)[0], torch.zeros(24))


def test_synapses_are_about_as_many_as_a_matrix_has():
    for modules in (2, 4, 8, 16):
        memory = SparseyMemory(256, 256, modules=modules)
        assert memory_cost(memory, memory.initial(3)).synapses == 256 * 256
    memory = SparseyMemory(64, 256, modules=8)
    assert memory_cost(memory, memory.initial()).synapses == 320 * 48


def test_settings_that_are_none():
    with pytest.raises(ValueError, match="modules of SparseyMemory"):
        SparseyMemory(5, 5, modules=0)
    with pytest.raises(ValueError, match="gain, power and slope"):
        SparseyMemory(5, 5, gain=-1.0)
