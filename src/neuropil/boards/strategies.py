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
from neuropil.boards.streams import BASE, SHOTS, WAYS, Stream, stream
from neuropil.continual.learn import learn
from neuropil.continual.scenario import Boundaries, Scenario
from neuropil.continual.strategy import STRATEGIES, Strategy
from neuropil.data.task_streams import Setting
from neuropil.dynamics.registry import Part
from neuropil.networks import MLP, MultiHead

WIDTH = 64
MEMORY = 100
"""Examples that may be kept, over all tasks together, by those who keep some."""
DRAW = 25
"""Old examples a step, half as many as new ones, where that is not tuned."""
RATES = (0.024, 0.12, 0.6, 3.0)
OWN: Mapping[str, Mapping[str, Any]] = {
    "AGEM": {"tuned": "draw", "values": (12, 25, 50, MEMORY), "closed": "high"},
    "DarkExperienceReplay": {"tuned": "alpha", "values": (0.01, 0.1, 1.0, 10.0), "beta": 0.5, "draw": DRAW},
    "EWC": {"tuned": "strength", "values": (0.1, 1.0, 10.0, 100.0)},
    "ExperienceReplay": {"tuned": "draw", "values": (12, 25, 50, MEMORY), "closed": "high"},
    "LwF": {"tuned": "strength", "values": (0.01, 0.1, 1.0, 10.0)},
    "RecencyRehearsal": {"tuned": "ratio", "values": (0.125, 0.25, 0.5, 1.0), "closed": "high"},
    "SynapticIntelligence": {"tuned": "strength", "values": (0.01, 0.1, 1.0, 10.0)},
}
"""What a strategy sets beside its rate, four values each; those that are not named here have four times as many rates instead.
``closed``: a natural bound, where an optimum is no end of the search: all that is kept is drawn, or as many old examples come as new ones."""
FINER: Mapping[str, Any] = {"tuned": "rate", "values": tuple(5 ** (k / 4) for k in (-1.5, -0.5, 0.5, 1.5))}
NOTES = {
    "EWC": "Fisher information from every example, each gone over once more for it when a task ends.",
    "FineTuning": "The floor: nothing is done against forgetting.",
    "Joint": "The ceiling, which breaks the rules: it keeps all tasks and learns them together again, in as many passes over each, so in up to five or six times the updates.",
    "RecencyRehearsal": f"It keeps all examples, where other replay keeps {MEMORY}.",
}
STREAMS = {
    "permuted": "Digits of 8 x 8 pixels in five tasks, in each under a permutation of pixels of its own",
    "rotated": "Digits of 8 x 8 pixels in five tasks, turned by 0, 36, 72, 108 and 144 degrees",
    "split": "Digits of 8 x 8 pixels, two of the ten in each of five tasks",
    "mnist": "MNIST's digits, 14 x 14 pixels, two of the ten in each of five tasks, about 200 of each to learn from",
    "sessions": f"Digits of 8 x 8 pixels: {BASE} of the ten are learned first, then the others, {WAYS} a session, from {SHOTS} pictures each",
    "speakers": "Spoken digits, each of six tasks said by one of six speakers",
}
SETTINGS = {
    "task": "the task is told, also at test",
    "domain": "the task is not told, and labels mean the same in all",
    "class": "the task is not told, and is to be said, too",
}
BLUR = 0.2
"""Lengths of a task by which examples are moved where tasks are not announced."""
LABELS = {"permuted": (10, 50), "rotated": (10, 50), "split": (2, 10), "mnist": (2, 10), "sessions": (4, 10), "speakers": (10, 60)}
"""Labels of one task of each stream (of its largest), and of all its tasks together."""
PICTURES = {"resplit": (1047, 400), "validation": 350, "test_items": 400, "epochs": 1, "batch": 50}
BUDGETS: Mapping[str, Mapping[str, Any]] = {
    "permuted": PICTURES,
    "rotated": PICTURES,
    "split": {**PICTURES, "epochs": 5},
    "mnist": {"resplit": (2000, 1000), "validation": 500, "test_items": 1000, "epochs": 2, "batch": 25},
    "sessions": {**PICTURES, "epochs": 10, "batch": 20},
    "speakers": {
        "resplit": (900, 300),
        "validation": 300,
        "test_items": 300,
        "epochs": 7,
        "batch": 50,
        "channels": 20,
        "bins": 10,
        "bin": 0.06,
        "every": 2,
    },
}
ONCE = {"epochs": 1, "batch": 10}
"""Where every example comes once."""
DATA = {"mnist": "mnist", "speakers": "fsdd"}
SMALL = {"resplit": (150, 100), "validation": 50, "epochs": 1}
SMOKES: Mapping[str, Mapping[str, Any]] = {
    "permuted": SMALL,
    "rotated": SMALL,
    "split": SMALL,
    "mnist": SMALL,
    "sessions": SMALL,
    "speakers": {"resplit": (180, 60), "validation": 60, "epochs": 4, "batch": 20, "channels": 4, "bins": 5, "every": 10},
}


def _task(name: str, scenario: Scenario) -> Task:
    told = {
        Boundaries.KNOWN: "",
        Boundaries.BLURRED: f"; tasks mix at their boundaries, spread by {BLUR} of a task, and none is announced",
        Boundaries.ABSENT: "; none of the tasks is announced",
    }[Boundaries(scenario.boundaries)]
    once = "; every example comes once" if scenario.online else ""
    return Task(
        about=f"{STREAMS[name]}; {SETTINGS[scenario.setting]}{told}{once}.",
        on="accuracy",
        metric=Metric(
            "share of test items",
            floor=1 / LABELS[name][scenario.setting == Setting.CLASS],
            ceiling=1.0,
            label="accuracy after the last task",
        ),
        budget={**BUDGETS[name], **(ONCE if scenario.online else {})},
        smoke=SMOKES[name],
        tune={"validate": True},
        data=(DATA.get(name, "digits"),),
        note="Seeds share one pool, so intervals carry the Nadeau-Bengio correction.",
    )


SCENARIOS = {f"{name}-{setting}": (name, Scenario(setting)) for name in ("permuted", "rotated", "split") for setting in SETTINGS} | {
    "split-class-blurred": ("split", Scenario("class", "blurred", blur=BLUR)),
    "split-class-online": ("split", Scenario("class", online=True)),
    "rotated-domain-absent": ("rotated", Scenario("domain", "absent", online=True)),
    "mnist-class": ("mnist", Scenario("class")),
    "sessions-class": ("sessions", Scenario("class")),
    "speakers-domain": ("speakers", Scenario("domain")),
}


def ends(entry: Entry, point: Mapping[str, float]) -> list[str]:
    """Say which settings of an entry a point has at an end of its search that is no natural bound; where rates alone are searched, at an end of them all."""
    own, rates = entry.settings, Grid(RATES)
    if own["tuned"] == "rate":
        outermost = (RATES[0] * own["values"][0], RATES[-1] * own["values"][-1])
        return ["rate"] if point["rate"] * own["values"][int(point["own"])] in outermost else []
    found = ["rate"] if rates.at_edge(point["rate"]) else []
    return [*found, "own"] if Grid(own["values"], own.get("closed", "none")).at_edge(own["values"][int(point["own"])]) else found


board = Board(
    name="strategies",
    title="Strategies of continual learning",
    kind="strategy",
    about=f"Ways to learn tasks one after the other in a network with one hidden layer of {WIDTH} units, its accuracy over all tasks after the last: the same examples of each task come as often to all, by plain gradient descent.",
    tasks={task: _task(name, scenario) for task, (name, scenario) in SCENARIOS.items()},
    entries=lambda: {part.name: _entry(part) for part in _registered() if part.make.__module__.startswith("neuropil.continual.")},
    entry=lambda name: own(name),
    refuses=lambda entry, task: make(entry.settings, 0.1, 1, 2, None).hindrance(SCENARIOS[task][1]),
    grid={"rate": Grid(RATES), "own": Grid((0, 1, 2, 3))},
    ends=ends,
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
    note="Held equal are the network, the order of tasks and examples, the passes over each task's examples and the points of the search: four rates times four values of one setting of the strategy's own (for those without one, sixteen rates); "
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
    found = course.metrics
    return {
        "accuracy": found.average_accuracy,
        "forgetting": found.forgetting,
        "learning": found.learning_accuracy,
        "stored": course.stored,
        "updates": course.steps,
        "backward": course.backward,
        "forward": course.forward,
        "parameters": len(parameters_to_vector(model.parameters())),
        "step": seconds / course.steps,
    }


def network(given: Stream, seed: Seed) -> nn.Module:
    """One hidden layer of ``WIDTH`` rectified units and a readout, one a task where the task is told."""
    tasks, generator = given.tasks, seed.torch("init")
    inputs = tasks[0].inputs[0].numel()
    if tasks.setting is not Setting.TASK:
        return nn.Sequential(nn.Flatten(), MLP((inputs, WIDTH, tasks.outputs), generator=generator))
    trunk = nn.Sequential(nn.Flatten(), MLP((inputs, WIDTH), generator=generator), nn.ReLU())
    return MultiHead(trunk, WIDTH, len(tasks), tasks.outputs, generator)


def make(entry: Mapping[str, Any], rate: float, own: int, tasks: int, generator: torch.Generator | None) -> Strategy:
    """Make the strategy of an entry with the value ``own`` of its tuned setting, its memory shared out over ``tasks``."""
    cls = class_in(entry["strategy"], Strategy) if ":" in entry["strategy"] else STRATEGIES[entry["strategy"]].make
    settings = {
        name: value for name, value in entry.items() if name not in ("strategy", "tuned", "values", "closed", "code", "rate", "own")
    }
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
