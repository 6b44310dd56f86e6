"""Strategies beside Avalanche's on one small stream: both take it in order and draw nothing at random, so that they end in the same weights."""

import itertools
import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import torch

from neuropil.continual import AGEM, EWC, ExperienceReplay, FineTuning, LwF

pytest.importorskip("sklearn")
FOLDER = Path(__file__).parent / "references"
FROZEN = json.loads((FOLDER / "avalanche.json").read_text())["found"]
ALL = 10_000
"""More than there are examples to keep or to draw."""


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.1)


class ReplayOfOldTasks(ExperienceReplay):
    """Replay as Avalanche has it: a task's examples are stored at its end, where the library's own stores each batch as it comes."""

    def after(self, model, batch, state):
        pass

    def end(self, model, examples, state):
        state["buffer"].add(*examples)
        return state


STRATEGIES = {
    "naive": lambda: FineTuning(sgd),
    "ewc separate, lambda 20": lambda: EWC(sgd, strength=40, fisher="batches", batch_size=50),
    "ewc online, lambda 20, decay 0.5": lambda: EWC(sgd, strength=40, fisher="batches", batch_size=50, decay=0.5),
    "lwf, alpha 1, temperature 2": lambda: LwF(sgd, strength=1 / 4, temperature=2),
    "replay, everything a step": lambda: ReplayOfOldTasks(sgd, capacity=ALL, draw=ALL),
    "agem, everything a step": lambda: AGEM(sgd, per_task=ALL, draw=ALL),
}


@pytest.fixture(scope="module")
def shared():
    """The script that made the frozen numbers: its stream, its network and its probe."""
    spec = spec_from_file_location("make_references", FOLDER / "make.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_order(strategy, shared, tasks=3, epochs=2):
    """The frozen stream in the order of the file, as Avalanche took it."""
    train, test, y, test_y = shared.stream()
    model = shared.network()
    state = strategy.init(model)
    for x in train[:tasks]:
        state = strategy.begin(model, (x, y), state)
        for _ in range(epochs):
            for batch in zip(x.split(shared.BATCH), y.split(shared.BATCH), strict=True):
                state, _ = strategy.step(model, batch, state)
        state = strategy.end(model, (x, y), state)
    return shared.probe(model), [float((model(x).argmax(1) == test_y).double().mean()) for x in test]


def same(found, frozen):
    return np.allclose(found, frozen["probe"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", STRATEGIES)
def test_weights_end_where_avalanches_do_and_nowhere_else(name, shared):
    found, accuracies = in_order(STRATEGIES[name](), shared)
    np.testing.assert_allclose(found, FROZEN[name]["probe"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(accuracies, FROZEN[name]["accuracy"], atol=0.5 / 297)
    assert [other for other in FROZEN if same(found, FROZEN[other])] == [name]
    assert set(FROZEN) == set(STRATEGIES)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("agem, everything a step", lambda: AGEM(sgd, per_task=100, draw=ALL)),
        ("agem, everything a step", lambda: AGEM(sgd, per_task=ALL, draw=100)),
        ("replay, everything a step", lambda: ReplayOfOldTasks(sgd, capacity=100, draw=ALL)),
        ("replay, everything a step", lambda: ReplayOfOldTasks(sgd, capacity=ALL, draw=100)),
        ("replay, everything a step", lambda: ExperienceReplay(sgd, capacity=ALL, draw=ALL)),
    ],
)
def test_other_sizes_do_not_pass_for_these(name, make, shared):
    assert not same(in_order(make(), shared)[0], FROZEN[name])


def by_equation(kind, shared):
    """Two tasks, one pass, written out from the papers: replay of everything that came before, or a gradient turned by that on the whole old task."""
    train, _, y, _ = shared.stream()
    model = shared.network()
    weights, before, old = list(model.parameters()), [], []

    def gradient(pairs):
        x, target = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        losses = -model(x).log_softmax(1)[torch.arange(len(x)), target]
        return torch.cat([one.flatten() for one in torch.autograd.grad(losses.sum() / len(x), weights)])

    for x in train[:2]:
        for batch in zip(x.split(shared.BATCH), y.split(shared.BATCH), strict=True):
            g = gradient([*before, batch] if kind == "replay" else [batch])
            if kind == "agem" and old:
                r = gradient(old)
                g = g - min(float(g @ r), 0.0) / float(r @ r) * r
            before.append(batch)
            with torch.no_grad():
                for one, change in zip(weights, g.split([one.numel() for one in weights]), strict=True):
                    one -= 0.1 * change.view_as(one)
        old = [(x, y)]
    return shared.probe(model)


def test_replay_and_agem_of_everything_are_the_papers_equations(shared):
    rules = {
        "replay": lambda: ExperienceReplay(sgd, capacity=ALL, draw=ALL),
        "agem": lambda: AGEM(sgd, per_task=ALL, draw=ALL),
    }
    for kind, other in itertools.product(rules, repeat=2):
        found, wanted = in_order(rules[kind](), shared, tasks=2, epochs=1)[0], by_equation(other, shared)
        assert np.allclose(found, wanted, rtol=1e-4, atol=1e-5) == (kind == other), (kind, other)
