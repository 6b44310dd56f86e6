"""Strategies beside Avalanche's on one small stream: weights where both are deterministic, accuracies where they draw."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
import torch

from neuropil.continual import AGEM, EWC, ExperienceReplay, FineTuning, LwF, Scenario, learn
from neuropil.data.task_streams import Task, TaskStream

pytest.importorskip("sklearn")
FOLDER = Path(__file__).parent / "references"
FROZEN = json.loads((FOLDER / "avalanche.json").read_text())


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.1)


@pytest.fixture(scope="module")
def shared():
    """The script that made the frozen numbers: its stream, its network and its probe."""
    spec = spec_from_file_location("make_references", FOLDER / "make.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_order(strategy, shared):
    """The frozen stream in the order of the file, as Avalanche took it."""
    train, test, y, test_y = shared.stream()
    model = shared.network(0)
    state = strategy.init(model)
    for x in train:
        state = strategy.begin(model, (x, y), state)
        for _ in range(shared.EPOCHS):
            for batch in zip(x.split(shared.BATCH), y.split(shared.BATCH), strict=True):
                state, _ = strategy.step(model, batch, state)
        state = strategy.end(model, (x, y), state)
    return shared.probe(model), [float((model(x).argmax(1) == test_y).double().mean()) for x in test]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("naive", lambda: FineTuning(sgd)),
        ("ewc separate, lambda 20", lambda: EWC(sgd, strength=40, fisher="batches", batch_size=50)),
        ("ewc online, lambda 20, decay 0.5", lambda: EWC(sgd, strength=40, fisher="batches", batch_size=50, decay=0.5)),
        ("lwf, alpha 1, temperature 2", lambda: LwF(sgd, strength=1 / 4, temperature=2)),
    ],
)
def test_weights_end_where_avalanches_do(name, make, shared):
    found, accuracies = in_order(make(), shared)
    frozen = FROZEN["exact"][name]
    np.testing.assert_allclose(found, frozen["probe"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(accuracies, frozen["accuracy"], atol=0.5 / 297)
    if name != "naive":
        assert abs(found[0] - FROZEN["exact"]["naive"]["probe"][0]) > 0.1


class Given(TaskStream):
    """The frozen stream."""

    def __init__(self, xs, y):
        super().__init__(xs[0], y, tasks=len(xs), setting="domain")
        self.xs = xs

    def _change(self, task, inputs, labels):
        return self.xs[task], labels


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("replay, 100 places, 50 a step", lambda g: ExperienceReplay(sgd, capacity=100, draw=50, generator=g)),
        ("agem, 100 a task, 100 a step", lambda g: AGEM(sgd, per_task=100, draw=100, generator=g)),
    ],
)
def test_what_draws_at_random_keeps_as_much_as_avalanches_on_average(name, make, shared):
    train, test, y, test_y = shared.stream()
    found = []
    for seed in range(shared.RUNS):
        generator = torch.Generator().manual_seed(seed)
        course = learn(
            shared.network(seed),
            Given(train, y),
            make(generator),
            Scenario("domain"),
            test=lambda k: Task(k, test[k], test_y),
            epochs=shared.EPOCHS,
            batch_size=shared.BATCH,
            generator=generator,
            progress=False,
        )
        found.append(course.metrics.average_accuracy)
    theirs = [mean(run) for run in FROZEN["drawn"][name]]
    error = ((stdev(found) ** 2 + stdev(theirs) ** 2) / shared.RUNS) ** 0.5
    floor = mean(FROZEN["exact"]["naive"]["accuracy"])
    print(name, mean(found), mean(theirs), error, floor)
    assert mean(found) > floor + 0.02
    assert abs(mean(found) - mean(theirs)) < 4 * error
