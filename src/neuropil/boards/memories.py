"""Memories on recall tasks: what each gives back of as many patterns, in as many synapses, and what it takes."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neuropil.atlas import AtlasError, Grid, Metric, Seed, Settings
from neuropil.atlas.board import Board, Entry, Task
from neuropil.atlas.board.form import nearest
from neuropil.atlas.board.source import class_in
from neuropil.atlas.outcome import Outcome
from neuropil.boards.recall import RECALL, ListMemory, Session, f1
from neuropil.data import k_winners
from neuropil.dynamics import leaves
from neuropil.memory import MEMORIES, Erasable, memory_cost

CELLS, ACTIVE = 256, 8
WANTED = 0.9
ALONE = ("fragments", "noise")
"""Tasks in which a content is asked by a part of itself, so that a network may settle; in the others it takes one step."""
INERTIA = {"tuned": "inertia", "values": (0.0, 1.0, 2.0, 8.0)}
MODULES = {"tuned": "modules", "values": (2, 4, 8, 16)}
RATE = {"momentum": 0.5, "tuned": "rate", "values": (0.01, 0.03, 0.1, 0.3)}
OWN: Mapping[str, Mapping[str, Any]] = {
    "ConsolidatedHebb": {"memory": "ConsolidatedHebb", "consolidation": 1, **INERTIA},
    "DualCoding": {"memory": "DualCodingStore", "tuned": "sharpness", "values": (1.0, 4.0, 16.0, 64.0)},
    "Hopfield": {"memory": "Hopfield", **INERTIA},
    "Hopfield-dense": {"memory": "Hopfield", "activity": 0.5, **INERTIA},
    "KeyValue-delta": {"memory": "KeyValueMemory", "write": "delta", "tuned": "strength", "values": (0.03, 0.1, 0.3, 1.0)},
    "KeyValue-hebb": {"memory": "KeyValueMemory", "write": "hebb"},
    "Neural-deep": {"memory": "NeuralKeyValueMemory", **RATE},
    "Neural-matrix": {"memory": "NeuralKeyValueMemory", "hidden": 0, **RATE},
    "Sparsey": {"memory": "SparseyMemory", "gain": 1.0, "least": 0.4, **MODULES},
    "Sparsey-random": {"memory": "SparseyMemory", "gain": 0.0, **MODULES},
    "SpikingCAM": {"memory": "SpikingCAM"},
    "WillshawMemory": {"memory": "WillshawMemory", "tuned": "needed", "values": (0.55, 0.7, 0.85, 1.0)},
}
"""Which entries there are, and the one setting that is tuned of each, four values."""
NOTES = {
    "ConsolidatedHebb": "Consolidated at once, which makes it Willshaw's matrix, read by settling to as many winners as a pattern has; tuned is what a cell's own activity weighs.",
    "DualCoding": "The last pairs as rows, as many as have the synapses of a matrix, read by attention over the eight likest; tuned is its sharpness.",
    "Hopfield": "The covariance rule for sparse patterns, read as ConsolidatedHebb.",
    "Hopfield-dense": "The rule for patterns of which half is active, here on sparse ones: what the covariance rule is worth.",
    "KeyValue-delta": "Fast weights by the delta rule; tuned is the strength of a write.",
    "KeyValue-hebb": "Fast weights by Hebb's rule, the plain correlation matrix; nothing to tune.",
    "Neural-deep": "A perceptron with a hidden layer, as large as leaves the synapses of a matrix, one step of descent a write, of which half goes on in the next; tuned is its rate.",
    "Neural-matrix": "The same without a hidden layer: the delta rule with momentum.",
    "Sparsey": "Cues get codes of one winner a module, drawn with less noise the more familiar they are, by gain and least familiarity as its study tuned them; tuned is the number of modules, among which cells are shared out.",
    "Sparsey-random": "The same with all codes drawn alike: what familiarity is worth.",
    "SpikingCAM": "Two pathways, so twice the synapses; cues of one cell. It cannot be told to erase and overwrites by itself; nothing to tune.",
    "WillshawMemory": "Clipped synapses; tuned is the share of the cue's active cells that a cell must hear.",
    "List": "No network: the last pairs written out as numbers of active cells, in as many bits as a matrix of binary synapses has; read by comparing with all.",
}
SHARE = Metric("F1", floor=0.0, ceiling=1.0, label="F1 of the recalled cells")
SIZES = {"cells": CELLS, "active": ACTIVE, "asked": 150}
SMALL = {"cells": 64, "active": 4, "patterns": 30, "asked": 10}


def _task(about: str, budget: Mapping[str, Any], smoke: Mapping[str, Any], note: str = "") -> Task:
    return Task(about=about, on="f1", metric=SHARE, budget={**SIZES, **budget}, smoke={**SMALL, **smoke}, note=note)


board = Board(
    name="memories",
    title="Memories on recall tasks",
    kind="memory",
    about=f"Every memory of the library holds random patterns of {ACTIVE} of {CELLS} cells, each written once, in a matrix of as many synapses, and is asked by a part, by another pattern or by a place.",
    tasks={
        "fragments": _task(
            "400 patterns, each held under itself. Which is it, by half of its active cells?",
            {"patterns": 400},
            {},
        ),
        "noise": _task(
            "400 patterns, each held under itself. Which is it, with a quarter of the active cells astray?",
            {"patterns": 400},
            {},
        ),
        "pairs": _task("600 pairs of patterns. What goes with this one?", {"patterns": 600}, {}),
        "copy": _task(
            "A sequence of 256 patterns, each under its position, a bump of 8 cells that moves on by one. Read back in order, what is it?",
            {},
            {},
            "Neighbouring positions share all cells but one, and each content hangs on one position; all are asked.",
        ),
        "sequence": _task(
            "A sequence of 500 patterns. What are the next 15, when each answer is the next question?",
            {"patterns": 500, "steps": 15, "starts": 20},
            {"steps": 3, "starts": 4},
        ),
        "overwritten": _task(
            "300 pairs of patterns, then for each cue another content. What goes with it now?",
            {"patterns": 300},
            {},
            "Before a cue is written anew, memories that can erase are told to erase it, with its old content.",
        ),
        "places": _task(
            "A content at each of 64 places, one cell a place, then another at each. What is there now?",
            {"places": 64},
            {"places": 16},
            "Nobody is told to erase. SpikingCAM has two synapses a pair of cells, the others one.",
        ),
        "capacity": Task(
            about=f"How many pairs of patterns can be held until the mean F1 of answers to clean cues falls to {WANTED}?",
            on="held",
            metric=Metric("pairs", floor=0.0, label="pairs held"),
            budget={**SIZES, "marks": (50, 100, 200, 300, 400, 600, 800, 1000, 1300, 1600, 2000)},
            smoke={**SMALL, "marks": (10, 20, 40)},
            note="Asked at eleven numbers of pairs, 150 cues drawn from all that were written; the crossing is interpolated, and is the last number where it does not fall so far.",
        ),
    },
    entries=lambda: (
        {name: _entry(settings["memory"], settings, NOTES[name]) for name, settings in OWN.items()}
        | {"List": Entry({"memory": "List"}, file=Path(inspect.getfile(ListMemory)), note=NOTES["List"])}
    ),
    entry=lambda name: own(name),
    refuses=lambda entry, task: refuses(entry, task),
    grid={"choice": Grid((0, 1, 2, 3), closed="both")},
    costs={
        "synapses": Metric("synapses", kind="exact", better="lower", label="synapses"),
        "bits": Metric("bits a synapse", better="lower", label="entropy of the weights"),
        "state": Metric("bytes", kind="exact", better="lower", label="state as it is held here"),
        "write": Metric("seconds", kind="time", better="lower", label="one write"),
        "recall": Metric("seconds", kind="time", better="lower", label="one recall"),
    },
    note="Asked are up to 150 of the patterns, spread evenly over the order of writing, so that what was written first is asked as often as what was written last. Held equal are the patterns, their order, the questions and the number of synapses (256 x 256, at places 64 x 256; SpikingCAM has twice as many, and those with cells or rows between cue and content as near as whole cells allow); "
    "bits a synapse are not, and are shown: a list of as many bits as a matrix of binary synapses stands beside them. Graded answers are cut to as many winners as a pattern has, which networks that settle are told too; binary answers are taken as they are. One setting of each memory was tuned, "
    "four values, by its place in its own list; the ends are natural bounds, but for two: two modules were best of their list for one or both of Sparsey in copy, overwritten, places and sequence, and the highest rate for Neural-matrix in copy and places, so that more might be won there. Random patterns only: nothing is said of correlated ones. Memories that a trained network steers or whose maps are learned cannot be written and asked by themselves; they are in their own studies.",
)


@board.trial
def trial(entry: Settings, task: str, budget: Settings, seed: Seed) -> Outcome:
    """Write a session into one memory and ask it."""
    session = RECALL[task](budget, seed)
    memory, timed = make(entry, task, budget, session, seed), _Timed()
    with torch.no_grad():
        s, score = _capacity(memory, session, budget, seed, timed) if session.marks else _recalled(memory, session, budget, timed)
    taken = {"synapses": float(memory.cue_size * memory.content_size), "bits": 1.0}
    if not isinstance(memory, ListMemory):
        cost = memory_cost(memory, s)
        taken = {"synapses": float(cost.synapses), "bits": cost.bits}
    state = sum(field.numel() * field.element_size() for _, field in leaves(s))
    return {**score, **taken, "state": float(state), "write": float(np.median(timed.writes)), "recall": float(np.median(timed.recalls))}


class _Timed:
    """Writes and recalls, each with its processor seconds."""

    def __init__(self) -> None:
        self.writes: list[float] = []
        self.recalls: list[float] = []

    def write(self, memory: Any, s: Any, cue: Tensor, content: Tensor, replaced: Tensor | None) -> Any:
        """Write one pair, after erasing what its cue held where the memory can."""
        began = time.process_time()
        if replaced is not None and isinstance(memory, Erasable):
            s = memory.erase(s, cue, replaced)
        s = memory.write(s, cue, content)
        self.writes.append(time.process_time() - began)
        return s

    def recall(self, memory: Any, s: Any, cue: Tensor, active: int) -> tuple[Tensor, Any]:
        """Ask once; an answer of numbers is cut to so many winners."""
        began = time.process_time()
        found, s = memory.recall(s, cue)
        self.recalls.append(time.process_time() - began)
        return (found if bool(((found == 0) | (found == 1)).all()) and not _graded(memory) else k_winners(found, active)), s


def _graded(memory: Any) -> bool:
    return any(part.make is type(memory) and "graded" in part.tags for part in MEMORIES)


def _recalled(memory: Any, session: Session, budget: Settings, timed: _Timed) -> tuple[Any, dict[str, float]]:
    s, scores = memory.initial(), []
    for (cue, content), replaced in zip(session.written, session.replaced, strict=True):
        s = timed.write(memory, s, cue, content, replaced)
    for cue, right in session.asked:
        found, rows = cue, []
        for _ in range(session.chain or 1):
            found, s = timed.recall(memory, s, found, budget.active)
            rows.append(found)
        scores.append(f1(torch.stack(rows), right.view(len(rows), -1)))
    return s, {"f1": float(np.mean(scores))}


def _capacity(memory: Any, session: Session, budget: Settings, seed: Seed, timed: _Timed) -> tuple[Any, dict[str, float]]:
    s, draws, scores = memory.initial(), seed.torch("asked"), []
    for count, (cue, content) in enumerate(session.written, 1):
        s = timed.write(memory, s, cue, content, None)
        if count in session.marks:
            chosen = torch.randperm(count, generator=draws)[: budget.asked].tolist()
            found = torch.stack([timed.recall(memory, s, session.written[place][0], budget.active)[0] for place in chosen])
            scores.append(f1(found, torch.stack([session.written[place][1] for place in chosen])))
            if scores[-1] < WANTED:
                break
    return s, {"held": crossing(session.marks, scores)}


def crossing(marks: tuple[int, ...], scores: list[float]) -> float:
    """Where scores after ``marks`` pairs fall to ``WANTED``, interpolated from 1 at no pair; the last mark where they do not."""
    before = (0.0, 1.0)
    for mark, score in zip(marks, scores, strict=False):
        if score < WANTED:
            return before[0] + (mark - before[0]) * (before[1] - WANTED) / (before[1] - score)
        before = (float(mark), score)
    return before[0]


def make(entry: Settings, task: str, budget: Settings, session: Session, seed: Seed) -> Any:
    """Make the memory of an entry for a session: its class is offered the sizes, the activity, how many win and a generator, and takes what it has a name for."""
    (cue, content), *_ = session.written
    if entry.memory == "List":
        bits = len(cue) * len(content)
        each = (0 if task in ALONE else cue.sum()) + content.sum()
        return ListMemory(len(cue), len(content), int(bits / (float(each) * math.log2(len(content)))))
    cls = class_in(entry.memory, nn.Module) if ":" in entry.memory else MEMORIES[entry.memory].make
    offered: dict[str, Any] = {
        "cue_size": len(cue),
        "content_size": len(content),
        "size": len(content),
        "activity": budget.active / budget.cells,
        "winners": budget.active,
        "steps": 20 if task in ALONE else 1,
        "generator": seed.torch("init"),
    }
    offered |= {name: value for name, value in entry.items() if name not in ("memory", "tuned", "values", "choice", "code", "needed")}
    if entry.get("tuned"):
        offered[entry.tuned] = entry["values"][int(entry.choice)]
    if entry.get("tuned") == "needed":
        question = session.asked[0][0] if session.asked else cue
        offered["threshold"] = max(1.0, math.ceil(offered.pop("needed") * float(question.sum()) - 1e-9))
    accepted = inspect.signature(cls).parameters
    memory = cls(**{name: value for name, value in offered.items() if name in accepted})
    if (memory.cue_size, memory.content_size) != (len(cue), len(content)):
        raise AtlasError(
            f"{entry.memory} has {memory.cue_size} and {memory.content_size} cells, {task} needs {len(cue)} and {len(content)}."
        )
    return memory


def refuses(entry: Entry, task: str) -> str | None:
    """Say why a memory cannot be asked this way, by its tags."""
    name = entry.settings["memory"]
    tags = set(MEMORIES[name].tags) if name in MEMORIES else {"pairs", "auto"}
    if "one-hot" in tags and task != "places":
        return "its cues are single cells"
    if task == "places" and not tags & {"pairs", "one-hot"}:
        return "its cues and contents are the same cells"
    return None


def _entry(name: str, settings: Mapping[str, Any], note: str = "") -> Entry:
    part = MEMORIES[name]
    return Entry(dict(settings), part.cites, Path(inspect.getfile(part.make)), note)


def own(name: str) -> Entry:
    """An entry of the user's own: a registered memory of an installed package, or ``FILE.py:Class``."""
    if ":" in name:
        return Entry({"memory": name}, file=Path(inspect.getfile(class_in(name, nn.Module))))
    if name not in MEMORIES:
        known = {**OWN, "List": None, **{part.name: None for part in MEMORIES}}
        raise AtlasError(
            f"The board memories has no entry {name!r}; {nearest(name, known)}; or give FILE.py:Class for a memory of your own."
        )
    return _entry(name, {"memory": name})
