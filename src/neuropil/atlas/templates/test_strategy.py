"""Without pull it is the rule alone, to the bit; with pull it forgets less."""

from functools import partial

import numpy as np
import pytest
import torch
from neuropil.continual import continual_metrics
from neuropil.data import PermutedStream
from neuropil.learning import Backprop, fit
from neuropil.networks import MLP
from torch import nn

from my_part import MyPart, learn_in_turn

RULE = Backprop(partial(torch.optim.SGD, lr=0.1), nn.functional.cross_entropy)


def clusters() -> PermutedStream:
    """Two tasks: four clusters, and the same with their coordinates permuted."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 4
    centres = 2 * torch.randn(4, 12, generator=rng)
    inputs = centres[labels] + torch.randn(200, 12, generator=rng)
    return PermutedStream(
        inputs, labels, tasks=2, setting="domain", generator=np.random.default_rng(0)
    )


def network() -> MLP:
    return MLP((12, 16, 4), generator=torch.Generator().manual_seed(1))


def matrix(pull: float, epochs: int = 2) -> list[list[float]]:
    strategy = MyPart(RULE, pull=pull)
    return learn_in_turn(network(), clusters(), strategy, epochs=epochs, seed=3)


def test_without_pull_it_is_the_rule_to_the_bit() -> None:
    stream, alone, pulled = clusters(), network(), network()
    strategy = MyPart(RULE, pull=0.0)
    for task in stream:
        data = (task.inputs, task.labels)
        fit(alone, data, RULE, epochs=2, seed=3, batch_size=20, progress=False)
    learn_in_turn(pulled, stream, strategy, epochs=2, seed=3)
    for a, b in zip(alone.parameters(), pulled.parameters(), strict=True):
        assert torch.equal(a, b)


def test_with_full_pull_nothing_changes_after_the_first_task() -> None:
    first, second = matrix(pull=1.0)
    assert first == second


def test_it_forgets_less_than_the_rule_alone() -> None:
    forgetting = [
        continual_metrics(matrix(pull, epochs=5)).forgetting for pull in (0.0, 0.05)
    ]
    assert forgetting[1] < forgetting[0] - 0.05


@pytest.mark.parametrize("pull", [-0.1, 1.5])
def test_a_pull_outside_its_range_is_refused(pull: float) -> None:
    with pytest.raises(ValueError, match="pull lies from 0 to 1"):
        MyPart(RULE, pull=pull)
