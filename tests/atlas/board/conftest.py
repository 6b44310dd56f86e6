"""A miniature board that takes milliseconds, in a folder of its own, with its own parts, cells and results."""

from collections import Counter
from pathlib import Path

import pytest

from neuropil.atlas.board.run import run
from neuropil.atlas.board.source import find
from neuropil.atlas.conduct.execute import compute
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.conduct.work import Failure, work

MINI = '''
"""A miniature board: parts with planted strengths on a noisy score."""

from pathlib import Path

from neuropil.atlas import Grid, Metric
from neuropil.atlas.board import Board, Entry, Task

PARTS = Path(__file__).parent / "parts"

board = Board(
    name="mini",
    title="Miniature parts",
    kind="part",
    about="Parts with planted strengths.",
    tasks={
        "easy": Task(about="How strong?", on="score", metric=Metric("points", floor=0, ceiling=1), budget={"scale": 1.0}, smoke={"scale": 2.0}),
        "pool": Task(
            about="How strong, from one pool?",
            on="score",
            metric=Metric("points", better="lower"),
            budget={"scale": 1.0, "resplit": (20, 10)},
            smoke={"scale": 2.0},
            tune={"tuning": True},
        ),
    },
    entries=lambda: {file.stem: entry(file.stem) for file in sorted(PARTS.glob("*.py"))},
    entry=lambda name: entry(name),
    grid={"lr": Grid((0.1, 0.2, 0.3))},
    costs={"weights": Metric("numbers", kind="exact", better="lower"), "pace": Metric("seconds", kind="time", better="lower")},
)


def entry(name):
    return Entry({"part": name}, ("nobody1900",), PARTS / f"{name}.py", note=f"A part named {name}.")


@board.trial
def trial(arm, task, budget, seed):
    found = {}
    exec((PARTS / f"{arm.part}.py").read_text(), found)
    noise = seed.numpy("data").normal(0, 0.05) + seed.numpy(arm.part).normal(0, 0.01)
    score = budget.scale * found["STRENGTH"] + noise - (arm.lr - found.get("RATE", 0.2)) ** 2
    return {"score": score, "weights": 10, "pace": 1e-3}
'''


class Here:
    """Runs cells in this process, and counts them by entry and budget."""

    def __init__(self) -> None:
        self.ran: Counter[tuple[str, str]] = Counter()

    def run(self, source, cells, store, *, alone):
        for cell in cells:
            self.ran[cell.arm.name, cell.budget.name] += 1
            payload = work(source, cell)
            if isinstance(payload, Failure):
                yield cell, payload
            else:
                store.put(cell.key, payload)
                yield cell, None


class Bench:
    """One board in one folder: write its parts, run it."""

    def __init__(self, folder: Path) -> None:
        self.file, self.store = folder / "mini.py", Store(folder / "cells")
        self.parts = folder / "parts"
        self.parts.mkdir()
        self.file.write_text(MINI)
        for name, strength in (("strong", 0.9), ("middle", 0.5), ("weak", 0.1)):
            self.part(name, f"STRENGTH = {strength}\n")

    def part(self, name: str, text: str) -> None:
        (self.parts / f"{name}.py").write_text(text)

    def change(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    @property
    def source(self):
        return find(str(self.file))

    def run(self, task: str = "easy", **asked):
        on = Here()
        return run(self.source, task, digests={}, store=self.store, on=on, **asked), on.ran

    def compute(self, source, *cells) -> None:
        compute(source, cells, self.store, on=Here())


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NEUROPIL_RESULTS", raising=False)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    return Bench(tmp_path)
