"""Strategies of continual learning on streams of tasks: what each keeps of old tasks, in every setting, and what it stores and computes for that."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from neuropil.atlas import AtlasError, Grid, Metric, Seed, Settings
from neuropil.atlas.board import Board, Entry, Task
from neuropil.atlas.board.form import nearest
from neuropil.atlas.board.source import class_in
from neuropil.atlas.outcome import Outcome
from neuropil.boards.passes import CountedPasses
from neuropil.boards.streams import Stream, stream
from neuropil.continual.learn import learn
from neuropil.continual.scenario import Scenario
from neuropil.continual.strategy import STRATEGIES, Strategy
from neuropil.data.task_streams import Setting
from neuropil.dynamics.registry import Part
from neuropil.networks import MLP, MultiHead

WIDTH = 64
MEMORY = 100
"""Examples that may be kept, over all tasks together, by those who keep some."""
DRAW = 25
"""Old examples a step, half as many as new ones, where that is not tuned."""
OWN: Mapping[str, Mapping[str, Any]] = {
    "AGEM": {"tuned": "draw", "values": (10, 25, 100)},
    "DarkExperienceReplay": {"tuned": "alpha", "values": (0.3, 1.0, 3.0), "beta": 0.5, "draw": DRAW},
    "EWC": {"tuned": "strength", "values": (1.0, 10.0, 100.0)},
    "ExperienceReplay": {"tuned": "draw", "values": (10, 25, 100)},
    "LwF": {"tuned": "strength", "values": (0.1, 1.0, 10.0)},
    "RecencyRehearsal": {"tuned": "ratio", "values": (0.1, 0.3, 1.0)},
    "SynapticIntelligence": {"tuned": "strength", "values": (0.1, 1.0, 10.0)},
}
"""What a strategy sets beside its rate, three values each; those that are not named here have three times as many rates instead."""
FINER: Mapping[str, Any] = {"tuned": "rate", "values": (10 ** (-1 / 6), 1.0, 10 ** (1 / 6))}
NOTES = {
    "EWC": "A penalty a task, Fisher information from every example.",
    "FineTuning": "The floor: nothing is done against forgetting.",
    "Joint": "The ceiling, which breaks the rules: it keeps all tasks and learns them together again, in as many passes over each, so in up to five or six times the updates.",
    "RecencyRehearsal": f"It keeps all examples, where other replay keeps {MEMORY}.",
}
STREAMS = {
    "permuted": "Digits of 8 x 8 pixels in five tasks, in each under a permutation of pixels of its own",
    "rotated": "Digits of 8 x 8 pixels in five tasks, turned by 0, 36, 72, 108 and 144 degrees",
    "split": "Digits of 8 x 8 pixels, two of the ten in each of five tasks",
    "speakers": "Spoken digits, each of six tasks said by one of six speakers",
}
SETTINGS = {
    "task": "the task is told, also at test",
    "domain": "the task is not told, and labels mean the same in all",
    "class": "the task is not told, and is to be said, too",
}
BLUR = 0.2
"""Lengths of a task by which examples are moved where tasks are not announced."""
LABELS = {"permuted": (5, 10), "rotated": (5, 10), "split": (5, 2), "speakers": (6, 10)}
"""Tasks of each stream, and labels of each task."""
PICTURES = {"resplit": (1397, 400), "test_items": 400, "epochs": 1, "batch": 50}
BUDGETS: Mapping[str, Mapping[str, Any]] = {
    "permuted": PICTURES,
    "rotated": PICTURES,
    "split": {**PICTURES, "epochs": 5},
    "speakers": {"resplit": (1200, 300), "test_items": 300, "epochs": 7, "batch": 50, "channels": 20, "bins": 10, "bin": 0.06, "every": 2},
}
SMALL = {"resplit": (200, 100), "epochs": 1}
SMOKES: Mapping[str, Mapping[str, Any]] = {
    "permuted": SMALL,
    "rotated": SMALL,
    "split": SMALL,
    "speakers": {"resplit": (240, 60), "epochs": 4, "batch": 20, "channels": 4, "bins": 5, "every": 10},
}


def _task(name: str, setting: str, boundaries: str = "known") -> Task:
    tasks, labels = LABELS[name]
    told = "" if boundaries == "known" else f"; tasks mix at their boundaries, spread by {BLUR} of a task, and none is announced"
    return Task(
        about=f"{STREAMS[name]}; {SETTINGS[setting]}{told}.",
        on="accuracy",
        metric=Metric(
            "share of test items",
            floor=1 / (labels * (tasks if setting == "class" else 1)),
            ceiling=1.0,
            label="accuracy after the last task",
        ),
        budget=BUDGETS[name],
        smoke=SMOKES[name],
        tune={"validate": True},
        data=("fsdd",) if name == "speakers" else ("digits",),
        note="Seeds share one pool, so intervals carry the Nadeau-Bengio correction.",
    )


SCENARIOS = {f"{name}-{setting}": (name, Scenario(setting)) for name in ("permuted", "rotated", "split") for setting in SETTINGS} | {
    "split-class-blurred": ("split", Scenario("class", "blurred", blur=BLUR)),
    "speakers-domain": ("speakers", Scenario("domain")),
}

board = Board(
    name="strategies",
    title="Strategies of continual learning",
    kind="strategy",
    about=f"Ways to learn tasks one after the other in a network with one hidden layer of {WIDTH} units, its accuracy over all tasks after the last: the same examples of each task come as often to all, by plain gradient descent.",
    tasks={task: _task(name, str(scenario.setting), str(scenario.boundaries)) for task, (name, scenario) in SCENARIOS.items()},
    entries=lambda: {part.name: _entry(part) for part in _registered() if part.make.__module__.startswith("neuropil.continual.")},
    entry=lambda name: own(name),
    refuses=lambda entry, task: make(entry.settings, 0.1, 1, 2, None).hindrance(SCENARIOS[task][1]),
    grid={"rate": Grid((0.05, 0.2, 0.8)), "own": Grid((0, 1, 2))},
    costs={
        "forgetting": Metric("share of test items", better="lower", label="forgetting"),
        "learning": Metric("share of test items", label="accuracy on each task when it was learned"),
        "stored": Metric("numbers", kind="exact", better="lower", label="kept beside the network"),
        "updates": Metric("updates", kind="exact", better="lower"),
        "backward": Metric("examples", kind="exact", better="lower", label="gradient passes"),
        "forward": Metric("examples", kind="exact", better="lower", label="forward passes"),
        "parameters": Metric("numbers", kind="exact", better="lower"),
        "step": Metric("seconds", kind="time", better="lower", label="one training step"),
    },
    note="Held equal are the network, the order of tasks and examples, the passes over each task's examples and the points of the search: three rates times three values of one setting of the strategy's own (for those without one, nine rates); "
    "what a strategy stores and computes is counted, and not equal. Numbers kept include examples, old weights, importances and old networks; Joint's are all examples. Heads of old tasks are not learned where tasks are told. "
    "A forward pass is one example through the network, learning alone counted; a gradient pass is one example's gradient back. Momentum, decay of rates and batch size were not tuned.",
)


@board.trial
def trial(entry: Settings, task: str, budget: Settings, seed: Seed) -> Outcome:
    """Learn one stream by one strategy, and test all of its tasks."""
    name, scenario = SCENARIOS[task]
    given = stream(name, scenario.setting, budget, seed)
    model = network(given, seed)
    strategy = make(entry, entry.rate, int(entry.own), len(given.tasks), seed.torch("noise"))
    began = time.process_time()
    course = learn(
        model,
        given.tasks,
        strategy,
        scenario,
        test=given.test,
        epochs=budget.epochs,
        batch_size=budget.batch,
        generator=seed.torch("order"),
        progress=False,
    )
    seconds = time.process_time() - began
    tested = sum(len(given.test(k)) for k in range(len(given.tasks))) * (len(given.tasks) + 1)
    found = course.metrics
    return {
        "accuracy": found.average_accuracy,
        "forgetting": found.forgetting,
        "learning": found.learning_accuracy,
        "stored": course.stored,
        "updates": course.steps,
        "backward": model.tally.backward,
        "forward": model.tally.forward - tested,
        "parameters": len(parameters_to_vector(model.parameters())),
        "step": seconds / course.steps,
    }


def network(given: Stream, seed: Seed) -> CountedPasses:
    """One hidden layer of ``WIDTH`` rectified units and a readout, one a task where the task is told."""
    tasks, generator = given.tasks, seed.torch("init")
    inputs = tasks[0].inputs[0].numel()
    if tasks.setting is not Setting.TASK:
        return CountedPasses(nn.Sequential(nn.Flatten(), MLP((inputs, WIDTH, tasks.outputs), generator=generator)))
    trunk = nn.Sequential(nn.Flatten(), MLP((inputs, WIDTH), generator=generator), nn.ReLU())
    return CountedPasses(MultiHead(trunk, WIDTH, len(tasks), tasks.outputs, generator))


def make(entry: Mapping[str, Any], rate: float, own: int, tasks: int, generator: torch.Generator | None) -> Strategy:
    """Make the strategy of an entry with the value ``own`` of its tuned setting, its memory shared out over ``tasks``."""
    cls = class_in(entry["strategy"], Strategy) if ":" in entry["strategy"] else STRATEGIES[entry["strategy"]].make
    settings = {name: value for name, value in entry.items() if name not in ("strategy", "tuned", "values", "code", "rate", "own")}
    value = entry["values"][own]
    if entry["tuned"] == "rate":
        rate = rate * value
    else:
        settings[entry["tuned"]] = value
    accepted = inspect.signature(cls).parameters
    settings |= {name: size for name, size in (("capacity", MEMORY), ("per_task", MEMORY // tasks)) if name in accepted}
    strategy: Strategy = cls(partial(torch.optim.SGD, lr=rate), generator=generator, **settings)
    return strategy


def _registered() -> list[Part]:
    import_module("neuropil.continual")
    return list(STRATEGIES)


def _entry(part: Part) -> Entry:
    own = OWN.get(part.name, {**part.example, **FINER})
    return Entry({"strategy": part.name, **own}, part.cites, Path(inspect.getfile(part.make)), NOTES.get(part.name, ""))


def own(name: str) -> Entry:
    """An entry of the user's own: a registered strategy of an installed package, or ``FILE.py:Class``."""
    if ":" in name:
        return Entry({"strategy": name, **FINER}, file=Path(inspect.getfile(class_in(name, Strategy))))
    known = {part.name: part for part in _registered()}
    if name not in known:
        raise AtlasError(
            f"The board strategies has no entry {name!r}; {nearest(name, known)}; or give FILE.py:Class for a strategy of your own."
        )
    return _entry(known[name])
