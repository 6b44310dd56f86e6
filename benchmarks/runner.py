"""What the runner costs: seconds a cell of a trial that does nothing, and what it takes until the first cell can begin.

    python benchmarks/runner.py [--cells 300] [--jobs 1 2] [--repeats 5] [--save]

Everything between asking for a run and having its table is counted: laying out, claims, sending, checks of code, writing to the disk, reading back.
The start is the time until the first cell is done; most of it is Python importing what the study imports. The second half of a run is timed, when all
workers are there.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from shared import save

from neuropil.atlas.conduct.execute import compute
from neuropil.atlas.conduct.loading import Source, find
from neuropil.atlas.conduct.local import Local
from neuropil.atlas.conduct.plan import plan, table
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.study import Study

STUDY = '''
"""A trial that does nothing, in a study that imports {what}."""

from neuropil.atlas import Contrast, Curve, Dose, Gate, Lesion, Metric, Off, Study
{imports}
study = Study(
    slug="nothing",
    claim="Nothing takes no time.",
    fidelity="paper",
    scale="own",
    arms={{"a": {{"x": 1.0}}, "b": {{"x": 0.0}}}},
    metrics={{"score": Metric("points")}},
    primary=Contrast("a", "b", on="score", delta=0.1, match="data"),
    dose=Dose("score", at_least=0.5),
    gate=Gate("it moves", "a.score > b.score"),
    lesion=Lesion("b"),
    off=Off("b", equals="b"),
    budgets={{"smoke": {{}}, "glance": {{}}, "desk": {{}}}},
    data={{}},
    distance="none",
)


@study.trial
def trial(arm, budget, seed):
    return {{"score": arm.x + seed.value, "samples": 1, "curve": Curve(range(50), [seed.value] * 50, "step", "score")}}
'''
KINDS = {"the atlas alone": "", "torch, cells and networks": "from neuropil.cells import LIF\nfrom neuropil.networks import MLP\n"}


def seconds(source: Source, study: Study, cells: int, jobs: int) -> tuple[float, float]:
    """One run of so many cells: seconds a cell once all workers are there, and seconds until the first is done."""
    with tempfile.TemporaryDirectory() as folder:
        store, arms, seeds = Store(Path(folder)), list(study.arms), range(cells // 2)
        done: list[float] = []
        began = time.perf_counter()
        laid = plan(source, study, "desk", arms, seeds, chosen={}, digests={})
        ready = time.perf_counter()
        compute(source, laid, store, on=Local(jobs), watch=lambda _: done.append(time.perf_counter()))
        ended = time.perf_counter()
        table(laid, store, arms, seeds)
        around = ready - began + time.perf_counter() - ended
        half = len(done) // 2
        return (done[-1] - done[half]) / (len(done) - 1 - half) + around / cells, done[0] - ready


def main() -> None:
    """Print one line a kind of study and number of workers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--jobs", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="write results/runner.json")
    asked = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind, imports in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "nothing.py"
            file.write_text(STUDY.format(what=kind, imports=imports))
            source = find(str(file))
            study = source.load()
            seconds(source, study, 20, 1)
            for jobs in asked.jobs:
                runs = [seconds(source, study, asked.cells, jobs) for _ in range(asked.repeats)]
                cell, start = (statistics.median(each) for each in zip(*runs, strict=True))
                found.setdefault(kind, {})[str(jobs)] = {"cell": cell, "start": start}
                print(f"{kind:24} {jobs} workers: {1e3 * cell:6.2f} ms a cell, {start:5.2f} s to start", flush=True)
    if asked.save:
        save("runner", {"cells": asked.cells, "repeats": asked.repeats, "seconds": found})


if __name__ == "__main__":
    main()
