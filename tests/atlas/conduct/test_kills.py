"""Kill -9 at random moments, of the run, of a worker, of all: what is resumed in another order gives what an uninterrupted sweep gives."""

import os
import random
import signal
import subprocess
import time

import psutil
import pytest


def children(process) -> list[psutil.Process]:
    try:
        return [c for c in psutil.Process(process.pid).children(recursive=True) if "spawn_main" in " ".join(c.cmdline())]
    except psutil.NoSuchProcess:
        return []


def strike(process, whom: str, rng: random.Random) -> None:
    if whom == "worker" and (workers := children(process)):
        os.kill(rng.choice(workers).pid, signal.SIGKILL)
        time.sleep(rng.uniform(0, 0.5))
    if whom == "run":
        os.kill(process.pid, signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def await_a_cell(sweeps, process) -> None:
    before, limit = len(sweeps.cells), time.monotonic() + 60
    while len(sweeps.cells) == before and process.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("kills", "seeds", "nap"), [pytest.param(5, 12, 0.03, id="5"), pytest.param(50, 60, 0.1, id="50", marks=pytest.mark.slow)]
)
def test_a_sweep_killed_at_random_moments_is_the_uninterrupted_one(sweeps, kills, seeds, nap):
    rng = random.Random(kills)
    struck = 0
    while struck < kills:
        arms = rng.sample(sweeps.arms, len(sweeps.arms))
        process = sweeps.start(sweeps.words(rng.sample(range(seeds), seeds), arms, rng.choice([1, 2, 3])), nap)
        if struck % 2:  # every other time it has come to its cells, however slow the machine
            await_a_cell(sweeps, process)
        try:
            process.wait(timeout=rng.uniform(0, 1) if struck % 2 else rng.uniform(0.2, 3.0))
        except subprocess.TimeoutExpired:
            strike(process, rng.choice(["run", "worker", "all"]), rng)
            struck += 1
        else:  # it was done before its time: half of its cells are taken away, so that the next has something to lose
            _, err = process.communicate()
            assert process.returncode == 0, err
            for path in rng.sample(sorted(sweeps.cells.values()), len(sweeps.cells) // 2):
                path.unlink()
    store = sweeps.bench.folder / "cache" / "cells"
    assert sweeps.cells
    for left in (store / "unfinished").iterdir():
        os.utime(left, (0, 0))
    resumed, kept = sweeps.numbers(range(seeds), jobs=3), sweeps.outcomes()
    assert list((store / "unfinished").iterdir()) == []
    assert not (store / "corrupt").exists()
    sweeps.forget()
    assert sweeps.numbers(range(seeds), jobs=1) == resumed
    assert sweeps.outcomes() == kept
    assert len(kept) == len(sweeps.arms) * seeds
