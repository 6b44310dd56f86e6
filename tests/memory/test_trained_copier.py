"""Trained weights of a Neural Turing Machine (`references/make.py`): it learned to copy up to four vectors, and copies eight; not from a memory that was emptied or shuffled before it answers, nor with heads that stay."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from neuropil.data import Copying
from neuropil.memory import NeuralTuringMemory
from neuropil.memory.neural_turing_machine import START
from neuropil.networks import LSTMController, NeuralTuringMachine

BITS, PLACES, WIDTH, UNITS, TRAINED = 6, 27, 8, 32, 4
ITEMS, GAP = 300, 2


@pytest.fixture(scope="module")
def machine():
    task = Copying(BITS)
    memory = NeuralTuringMemory(PLACES, WIDTH)
    made = NeuralTuringMachine(task.channels, BITS, controller=LSTMController(task.channels + WIDTH, UNITS), memory=memory)
    made.load_state_dict(load_file(Path(__file__).with_name("references") / "copier.safetensors"))
    return made.requires_grad_(False)


def wrong(machine, length, change=lambda contents: contents):
    """Share of wrong bits of ``length`` vectors; the memory is changed at the signal, after which nothing but answers is asked."""
    given = Copying(BITS).draw(torch.full((ITEMS,), length), torch.full((ITEMS,), GAP), torch.Generator().manual_seed(length))
    s, answers = None, []
    for moment, x in enumerate(given.x):
        y, s = machine.step(x, s)
        if moment == length + GAP:
            s = s._replace(memory=s.memory._replace(contents=change(s.memory.contents)))
        answers.append(y)
    found = (torch.stack(answers) > 0).float() != given.target
    return float(found[given.asked].float().mean())


def test_it_copies_what_it_was_trained_on_and_twice_as_much(machine):
    assert wrong(machine, TRAINED) < 0.01
    assert wrong(machine, 2 * TRAINED) < 0.05


@pytest.mark.parametrize(
    "change",
    [
        lambda contents: torch.full_like(contents, START),
        lambda contents: contents[:, torch.randperm(PLACES, generator=torch.Generator().manual_seed(0))],
        lambda contents: contents.roll(1, 0),
    ],
    ids=["emptied", "places shuffled", "another's"],
)
def test_what_it_says_is_in_its_memory(machine, change):
    """A bit of a sequence that is not there is right half the time, and in a memory whose places are shuffled nearly as seldom."""
    assert 0.4 < wrong(machine, 2 * TRAINED, change) < 0.6


def test_heads_that_stay_copy_nothing(machine):
    class Still(NeuralTuringMemory):
        def aim(self, asked):
            aim, erase, add = super().aim(asked)
            return aim._replace(shift=torch.tensor([0.0, 1, 0]).expand_as(aim.shift)), erase, add

    still = Still(PLACES, WIDTH)
    still.load_state_dict(machine.memory.state_dict())
    made = NeuralTuringMachine(BITS + 2, BITS, controller=machine.controller, memory=still)
    made.ask, made.say = machine.ask, machine.say
    assert wrong(made.requires_grad_(False), 2 * TRAINED) > 0.3
