"""A strategy of somebody's own is checked as the library's are; bad ones are caught."""

import pytest
import torch

from neuropil.continual import EWC, FineTuning, Strategy
from neuropil.continual.fine_tuning import plain
from neuropil.testing import check_part, checks


class Shrinking(Strategy):
    """Weights shrink a little after every step."""

    def __init__(self, optimizer, loss=torch.nn.functional.cross_entropy, *, share=0.01, generator=None):
        super().__init__(optimizer, loss, generator=generator)
        self.share = share

    def after(self, model, batch, state):
        for one in model.parameters():
            one.data.mul_(1 - self.share)


class Hiding(Shrinking):
    """What it learned of the first task is on the instance, where no checkpoint finds it."""

    def end(self, model, examples, state):
        self.share = 0.2
        return state


class Drawing(Shrinking):
    """Draws from torch's own generator."""

    def after(self, model, batch, state):
        for one in model.parameters():
            one.data.add_(0.01 * torch.randn_like(one))


class Scaling(Shrinking):
    """Changes the examples that it is given."""

    def begin(self, model, examples, state):
        examples[0].mul_(0.5)
        return state


class Peeking(Shrinking):
    """Reads a task's labels as a whole and does not say so."""

    def begin(self, model, examples, state):
        return state | {"labels": examples[-1].unique()}


class Relying(Shrinking):
    """Shrinks only where it was handed a task, and does not say so."""

    def begin(self, model, examples, state):
        return state | {"handed": float(len(examples))}

    def after(self, model, batch, state):
        if state["handed"]:
            super().after(model, batch, state)


class Idle(FineTuning):
    """Does nothing of its own."""


def failed(strategy, **facts):
    with pytest.raises(AssertionError) as error:
        check_part(strategy, **facts)
    return {line.removeprefix("- ").split(":")[0] for line in str(error.value).splitlines()[1:]}


def test_a_good_strategy_passes_and_is_on_and_off_as_declared():
    assert check_part(Shrinking, example={"share": 0.01}, off={"share": 0.0}, like=plain) == len(checks(EWC))


@pytest.mark.parametrize(
    ("strategy", "caught"),
    [
        (Hiding, "it goes on from a checkpoint"),
        (Drawing, "its generator decides everything"),
        (Scaling, "nothing given is changed"),
        (Peeking, "online it learns from what comes once or refuses"),
        (Relying, "online it learns from what comes once or refuses"),
        (Idle, "it acts or refuses and is off as declared (class)"),
    ],
)
def test_a_bad_strategy_is_caught(strategy, caught):
    assert caught in failed(strategy, example={})


def test_an_off_switch_that_is_none_is_caught():
    assert "it acts or refuses and is off as declared (task)" in failed(Shrinking, example={}, off={"share": 0.1}, like=plain)
