import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from neuropil.continual import ModuleSensitivity, modules_within
from neuropil.networks import BatchNormConvNet


class Three(nn.Module):
    """Weights of its own, and two modules of 2 and 4 weights."""

    def __init__(self):
        super().__init__()
        self.own = nn.Parameter(torch.zeros(1))
        self.small = nn.Linear(2, 1, bias=False)
        self.large = nn.Linear(2, 2, bias=False)
        for one in self.parameters():
            nn.init.zeros_(one)

    def move(self, own, small, large):
        with torch.no_grad():
            self.own += own
            self.small.weight += small
            self.large.weight += large


def test_a_course_by_hand():
    """Tasks a, a, a, b, b, a: three pairs within a task, two at a switch."""
    model = Three()
    found = ModuleSensitivity(model)
    found.record("a")
    for task, moves in (("a", (1, 1, 0)), ("a", (-1, 3, 0)), ("b", (2, 8, 1)), ("b", (1, 2, 0)), ("a", (-4, 4, -1))):
        model.move(*moves)
        found.record(task)
    assert found.within == {"": 1, "small": 2, "large": 0}
    assert found.switch == {"": 3, "small": 6, "large": 1}
    assert found.specificity == {"": 3, "small": 3, "large": float("inf")}
    assert found.ranking == ["large", "", "small"]


def test_what_never_moves_is_ranked_last():
    model = Three()
    found = ModuleSensitivity(model)
    for task in (0, 0, 1):
        model.move(1, 2, 0)
        found.record(task)
    assert found.specificity == {"": 1, "small": 1, "large": 0}
    assert found.ranking == ["", "small", "large"]


def test_a_trained_net_is_as_numpy_has_it_from_its_state_dictionaries():
    net = BatchNormConvNet(size=8, widths=(4, 6), kernels=(3, 3), generator=torch.Generator().manual_seed(0))
    draws = torch.Generator().manual_seed(1)
    found, tasks, states = ModuleSensitivity(net), [0, 0, 0, 1, 1, 2, 2, 2], []
    descent = torch.optim.SGD(net.parameters(), 0.1)
    for task in tasks:
        descent.zero_grad()
        x = torch.randn(32, 1, 8, 8, generator=draws)
        nn.functional.cross_entropy(net(x), torch.randint(3, (32,), generator=draws) + 3 * task).backward()
        descent.step()
        states.append(copy.deepcopy({name: value.numpy() for name, value in net.state_dict().items()}))
        found.record(task)
    modules = ["blocks.conv1", "blocks.norm1", "blocks.conv2", "blocks.norm2", "readout"]
    assert list(found.within) == modules
    for module in modules:
        weights = [
            np.concatenate([state[f"{module}.{part}"].ravel() for part in ("weight", "bias") if f"{module}.{part}" in state])
            for state in states
        ]
        changes = [np.abs(b - a).mean() for a, b in itertools.pairwise(weights)]
        same = [a == b for a, b in itertools.pairwise(tasks)]
        within, switch = (np.mean([change for change, one in zip(changes, same, strict=True) if one is kind]) for kind in (True, False))
        assert found.within[module] == pytest.approx(within, rel=1e-4)
        assert found.switch[module] == pytest.approx(switch, rel=1e-4)
        assert found.specificity[module] == pytest.approx(switch / within, rel=1e-4)


def test_modules_are_taken_from_the_front_while_they_fit():
    sizes = {"a": 50, "b": 10, "c": 30, "d": 10}
    assert modules_within(["b", "a", "d", "c"], sizes, 0.2) == ["b", "d"]
    assert modules_within(["b", "a", "d", "c"], sizes, 0.6) == ["b", "a"]
    assert modules_within(["d", "c"], sizes, 0.4) == ["d", "c"]
    assert modules_within(list(sizes), sizes, 1.0) == list(sizes)
    assert modules_within(list(sizes), sizes, 0.0) == []


def test_what_it_cannot_take_is_refused():
    with pytest.raises(ValueError, match="this ReLU has none"):
        ModuleSensitivity(nn.ReLU())
    found = ModuleSensitivity(nn.Linear(2, 2))
    for task, kind in ((0, "within"), (1, "within"), (1, None)):
        found.record(task)
        if kind:
            with pytest.raises(ValueError, match="two records of one task"):
                _ = found.ranking
    alone = ModuleSensitivity(nn.Linear(2, 2))
    for _ in range(2):
        alone.record(0)
    with pytest.raises(ValueError, match="records of two tasks"):
        _ = alone.switch
    with pytest.raises(ValueError, match=r"share in \[0, 1\].*1.5"):
        modules_within(["a"], {"a": 1}, 1.5)
    with pytest.raises(ValueError, match=r"\['b'\]"):
        modules_within(["b"], {"a": 1}, 0.5)
