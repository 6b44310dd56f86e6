"""Cells on sequence tasks: which neuron model learns what, at which cost, in one and the same small network."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from neuropil.atlas import AtlasError, Grid, Metric, Seed, Settings
from neuropil.atlas.board import Board, Entry, Task
from neuropil.atlas.board.form import nearest
from neuropil.atlas.board.source import module_at
from neuropil.atlas.outcome import Outcome
from neuropil.boards.network import drive_of, network
from neuropil.boards.sequences import SEQUENCES, Split
from neuropil.dynamics import Cell, leaves
from neuropil.dynamics.registry import CELLS, Part
from neuropil.learning import Backprop
from neuropil.observe import count_operations

STEP = 1e-3
"""Seconds that one step of a sequence is for the neurons, whatever it was for the recording."""
OWN: Mapping[str, Mapping[str, float]] = {
    "ExponentialIF": {"dt": 0.5e-3},
    "LeakyRate": {"tau": 0.02},
    "QuadraticIF": {"tau": 0.02},
}
"""Settings that are not the library's: a membrane of 20 steps for all that have one of their own, and a step that Euler can take."""
NOTES = {
    "EventUnit": "Its memory is the library's, a gate of one half a step, against about 20 steps of the others.",
    "ExponentialIF": "A step counts as half a millisecond, since its equation takes no longer ones; its membrane has 20 steps so.",
    "Izhikevich": "In published units; its spikes take milliseconds to build up, which is long beside these sequences.",
    "LI": "A linear neuron: what the network does without any nonlinearity but the read-out's loss.",
    "LeakyRate": "The plain leaky recurrent network (tanh), the baseline without spikes.",
}
WIDTH, ACTIVE, GAIN = 64, 0.08, 0.5
SHARE = Metric("share of test items", floor=0.1, ceiling=1.0, label="accuracy")

board = Board(
    name="cells",
    title="Cells on sequence tasks",
    kind="cell",
    about="Every neuron model of the library as the one hidden, recurrent layer of 64 units in the same network, learned by backpropagation through time "
    "(surrogate gradients where there are spikes) in as many updates on the same data.",
    tasks={
        "spoken-digits": Task(
            about="Which digit is said, by two speakers of six that were not heard in training? 24 channels of a cochlea, 30 steps of 20 ms.",
            on="accuracy",
            metric=SHARE,
            budget={
                "channels": 24,
                "bins": 30,
                "bin": 0.02,
                "every": 1,
                "epochs": 5,
                "batch": 50,
                "resplit": (2000, 1000),
                "test_items": 1000,
            },
            smoke={"every": 40, "epochs": 1, "batch": 20},
            tune={"validate": True},
            data=("fsdd",),
            note="Six speakers give fifteen splits at most, so seeds share much of their data: intervals carry the Nadeau-Bengio correction, and are "
            "wide. Settings are chosen on one of the speakers of the training set. Clips are cut at 0.6 s, or followed by silence.",
        ),
        "digits-by-row": Task(
            about="Which digit is written? MNIST, one row of pixels a step from the top, 28 steps; 2,000 images to learn from.",
            on="accuracy",
            metric=SHARE,
            budget={"train": 2000, "validation": 1000, "epochs": 5, "batch": 50, "test_items": 10000},
            smoke={"train": 100, "validation": 100, "epochs": 1},
            tune={"validate": True},
            data=("mnist",),
            note="Every seed draws its own 2,000 of the 60,000 training images; all are tested on the same 10,000.",
        ),
        "japanese-vowels": Task(
            about="Which of nine men says /ae/? Twelve cepstral coefficients a frame, 7 to 29 frames; 480 utterances to learn from.",
            on="accuracy",
            metric=Metric("share of test items", floor=1 / 9, ceiling=1.0, label="accuracy"),
            budget={"train": 480, "test": 160, "epochs": 20, "batch": 32, "resplit": (480, 160), "test_items": 160},
            smoke={"train": 64, "test": 64, "epochs": 1},
            tune={"validate": True},
            data=("japanese_vowels",),
            note="Near the ceiling for most cells. Seeds share one pool of 640 utterances, so intervals carry the Nadeau-Bengio correction. Utterances "
            "are preceded by silence, so that all end at the same step.",
        ),
        "adding-problem": Task(
            about="What is the sum of the two marked numbers, one in each half of 30? A memory and a product are needed.",
            on="explained",
            metric=Metric("share of variance explained", floor=0.0, ceiling=1.0, label="variance explained"),
            budget={"steps": 30, "train": 2000, "test": 1000, "epochs": 12, "batch": 100},
            smoke={"train": 100, "test": 100, "epochs": 1},
            note="Data are drawn afresh for every seed. A linear network can do no better than 0.07, by the sum of all numbers: what is above that took "
            "the marks into account. A run that diverged counts as -1.",
        ),
    },
    entries=lambda: {part.name: _entry(part) for part in _registered() if part.make.__module__.startswith("neuropil.cells.")},
    entry=lambda name: own(name),
    grid={"rate": Grid((0.001, 0.004, 0.016, 0.064, 0.256))},
    costs={
        "parameters": Metric("numbers", kind="exact", better="lower"),
        "footprint": Metric("bytes of parameters and buffers", kind="exact", better="lower"),
        "state": Metric("bytes a sequence", kind="exact", better="lower", label="state of the hidden layer"),
        "step": Metric("seconds", kind="time", better="lower", label="one training step"),
        "spikes": Metric("hidden spikes or events an inference", better="lower"),
        "acs": Metric("an inference", better="lower", label="effective accumulates"),
        "macs": Metric("an inference", better="lower", label="effective multiply-accumulates"),
        "dense": Metric("an inference", kind="exact", better="lower", label="dense synaptic operations"),
        "activation_sparsity": Metric("share of zeros", label="activation sparsity"),
        "connection_sparsity": Metric("share of zeros", label="connection sparsity"),
    },
    note="The drive of every cell, the current that makes it active, is found by one rule before training (active in 8 % of moments under noise, or a root mean "
    "square of one half); recurrence, read-out and batch normalisation are the same for all. Learning rates were tuned on one grid; time constants were "
    "not: those of neurons that have a membrane are 20 steps, everything else is the library's default. Ranks hold for this network, these budgets and "
    "these defaults. Synaptic operations are counted as NeuroBench counts them, over a hundred test items; what a neuron computes by itself at each step "
    "is not among them, and is more for some models than for others.",
)


@board.trial
def trial(entry: Settings, task: str, budget: Settings, seed: Seed) -> Outcome:
    """Train the network of one cell and test it."""
    split = SEQUENCES[task](budget, seed)
    classes = split.y.dtype == torch.long
    steps, _, inputs = split.x.shape
    cell = make(entry)
    model = network(
        cell,
        inputs,
        int(max(split.y.max(), split.test_y.max())) + 1 if classes else 1,
        scale=drive_of(make(entry), steps=steps, share=ACTIVE),
        gain=GAIN,
        steps=steps,
        generator=seed.torch("init"),
    )

    def loss(output: tuple[Tensor, Any], target: Tensor) -> Tensor:
        last = output[0][-1]
        return cross_entropy(last, target) if classes else mse_loss(last[:, 0], target)

    seconds = learn(model, loss, split, entry.rate, budget, seed)
    model.eval()
    with torch.no_grad():
        answer = model(split.test_x)[0][-1]
    counted = count_operations(model, split.test_x[:, :100])
    return {
        **(accuracy(answer, split.test_y) if classes else explained(answer[:, 0], split.test_y)),
        "parameters": counted.parameters,
        "footprint": counted.footprint,
        "state": sum(field.numel() * field.element_size() for _, field in leaves(cell.initial(1))),
        "step": sorted(seconds)[len(seconds) // 2],
        "spikes": counted.spikes,
        "acs": counted.effective_acs,
        "macs": counted.effective_macs,
        "dense": counted.dense,
        "activation_sparsity": counted.activation_sparsity,
        "connection_sparsity": counted.connection_sparsity,
    }


def learn(
    model: torch.nn.Module, loss: Callable[[Any, Tensor], Tensor], split: Split, rate: float, budget: Settings, seed: Seed
) -> list[float]:
    """Take the budget's updates by Adam with a one-cycle rate and gradients no longer than 1; give the processor seconds of each."""
    rule = Backprop(lambda parameters: torch.optim.Adam(parameters, lr=rate), loss, max_norm=1.0)
    optimizer = rule.init(model)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, budget.epochs * -(-len(split.y) // budget.batch), pct_start=0.2)
    generator, seconds = seed.torch("noise"), []
    for _ in range(budget.epochs):
        for index in torch.randperm(len(split.y), generator=generator).split(budget.batch):
            began = time.process_time()
            rule.step(model, (split.x[:, index], split.y[index]), optimizer)
            cycle.step()
            seconds.append(time.process_time() - began)
    return seconds


def accuracy(answer: Tensor, target: Tensor) -> dict[str, float]:
    """The share of right answers; a network whose potentials are not finite has none."""
    right = (answer.argmax(1) == target) & answer.isfinite().all(1)
    return {"accuracy": float(right.double().mean())}


def explained(answer: Tensor, target: Tensor) -> dict[str, float]:
    """The share of the target's variance explained, -1 at worst."""
    share = 1 - float(mse_loss(answer.double(), target.double()) / target.double().var(correction=0))
    return {"explained": max(-1.0, share) if share == share else -1.0}


def make(entry: Settings) -> Cell:
    """Make the cell of an entry: its class by name, or from a file of the user's own, with ``WIDTH`` units."""
    settings = {name: value for name, value in entry.items() if name in OWN.get(entry.cell, {})}
    cls = _class_in(entry.cell) if ":" in entry.cell else CELLS[entry.cell].make
    accepted = inspect.signature(cls).parameters
    takes_dt = "dt" in accepted or any(one.kind is one.VAR_KEYWORD for one in accepted.values())
    cell = cls(WIDTH, **{**({"dt": STEP} if takes_dt else {}), **settings})
    if not isinstance(cell, Cell) or cell.out_size != WIDTH:
        raise AtlasError(
            f"{entry.cell} makes no Cell of {WIDTH} inputs and as many outputs; a board of cells takes neurons, one output each."
        )
    return cell


def _registered() -> list[Part]:
    """The registered cells that can stand in the network: neurons without further inputs, whose output does not grow without bound as a phase does.

    Left out are also those that are networks in themselves (tagged ``memory`` or ``gated``), whose weights of their own would make the sizes unequal, and
    those with an interneuron of their own (``inhibitory``), which are active without input, so that no drive makes them begin.
    """
    import_module("neuropil.cells")
    neurons = [part for part in CELLS if not (part.along or part.features or {"memory", "gated", "inhibitory"} & set(part.tags))]
    return [part for part in neurons if getattr(part.make, "emits", "") != "phase"]


def _entry(part: Part) -> Entry:
    settings = {"cell": part.name, **OWN.get(part.name, {})}
    return Entry(settings, part.cites, Path(inspect.getfile(part.make)), NOTES.get(part.name, ""))


def own(name: str) -> Entry:
    """An entry of the user's own: a registered cell of an installed package, or ``FILE.py:Class``."""
    if ":" in name:
        return Entry({"cell": name}, file=Path(inspect.getfile(_class_in(name))))
    known = {part.name: part for part in _registered()}
    if name not in known:
        hint = f"{name} emits a phase, which grows without bound; " if name in CELLS else ""
        raise AtlasError(
            f"The board cells has no entry {name!r}; {hint}{nearest(name, known)}; or give FILE.py:Class for a cell of your own."
        )
    return _entry(known[name])


def _class_in(reference: str) -> Any:
    path, _, name = reference.rpartition(":")
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise AtlasError(f"There is no file {path}; give a cell of your own as FILE.py:Class.")
    cls = getattr(module_at(file), name, None)
    if not (isinstance(cls, type) and issubclass(cls, Cell)):
        raise AtlasError(f"{file.name} has no Cell named {name!r}; give a cell of your own as FILE.py:Class.")
    return cls
