"""It conforms; without pull it is fine-tuning, to the bit; with pull it keeps more."""

from functools import partial

import numpy as np
import pytest
import torch
from neuropil.continual import Course, FineTuning, Scenario, Strategy, learn
from neuropil.data import PermutedStream
from neuropil.networks import MLP
from neuropil.testing import Check, checks

from my_part import MyPart

SGD = partial(torch.optim.SGD, lr=0.1)


@pytest.mark.parametrize("check", checks(MyPart), ids=str)
def test_conforms(check: Check) -> None:
    """The suite that the library's own strategies pass."""
    check()


def clusters() -> PermutedStream:
    """Two tasks: four clusters, and the same with their coordinates permuted."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 4
    centres = 2 * torch.randn(4, 12, generator=rng)
    inputs = centres[labels] + torch.randn(200, 12, generator=rng)
    return PermutedStream(
        inputs, labels, tasks=2, setting="domain", generator=np.random.default_rng(0)
    )


def taught(strategy: Strategy, epochs: int = 2) -> tuple[MLP, Course]:
    model = MLP((12, 16, 4), generator=torch.Generator().manual_seed(1))
    course = learn(
        model,
        clusters(),
        strategy,
        Scenario("domain"),
        epochs=epochs,
        batch_size=20,
        generator=torch.Generator().manual_seed(3),
        progress=False,
    )
    return model, course


def test_without_pull_it_is_fine_tuning_to_the_bit() -> None:
    alone, _ = taught(FineTuning(SGD))
    pulled, _ = taught(MyPart(SGD, pull=0.0))
    for a, b in zip(alone.parameters(), pulled.parameters(), strict=True):
        assert torch.equal(a, b)


def test_with_full_pull_nothing_changes_after_the_first_task() -> None:
    first, second = taught(MyPart(SGD, pull=1.0))[1].accuracy
    assert torch.equal(first, second)


def test_it_forgets_less_than_fine_tuning() -> None:
    forgetting = [
        taught(MyPart(SGD, pull=pull), epochs=5)[1].metrics.forgetting
        for pull in (0.0, 0.05)
    ]
    assert forgetting[1] < forgetting[0] - 0.05


def test_it_must_hear_of_a_tasks_end() -> None:
    assert MyPart(SGD).hindrance(Scenario("domain", "absent"))


@pytest.mark.parametrize("pull", [-0.1, 1.5])
def test_a_pull_outside_its_range_is_refused(pull: float) -> None:
    with pytest.raises(ValueError, match="pull lies from 0 to 1"):
        MyPart(SGD, pull=pull)
