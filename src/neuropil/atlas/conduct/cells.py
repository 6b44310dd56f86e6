"""Cells and the local runner: one arm, one budget, one batch of seeds a cell; processes with one torch thread each; resume is free."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from typing import Any

from neuropil.atlas.conduct.loading import Source, budget_settings, settings
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.errors import AtlasError, InterruptionError
from neuropil.atlas.files import sha256
from neuropil.atlas.outcome import Table, decode, encode
from neuropil.atlas.seeds import Seed
from neuropil.atlas.study import Settings, Study

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
) | {"PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Cell:
    """One unit of work, named by the hash of everything that decides its values."""

    arm: Settings
    budget: Settings
    seeds: tuple[int, ...]
    key: str


@dataclass(frozen=True)
class Done:
    """What the runner tells whoever watches: how many cells are done of how many, and whether this one was already there."""

    done: int
    total: int
    arm: str
    found: bool


Watcher = Callable[[Done], None]


def versions() -> dict[str, str]:
    """Name the versions that decide a trial's numbers."""
    named = {"python": platform.python_version()}
    for package in ("neuropil", "torch", "numpy", "scipy", "scikit-learn"):
        with contextlib.suppress(PackageNotFoundError):
            named[package] = version(package)
    return named


def plan(
    source: Source,
    study: Study,
    budget: str,
    arms: Sequence[str],
    seeds: Sequence[int],
    *,
    chosen: Mapping[str, dict[str, float]],
    digests: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
) -> list[Cell]:
    """Lay out the cells, all arms of one batch of seeds before the next batch, so that arms are interleaved in time."""
    base = budget_settings(study, budget)
    budget_used = Settings(budget, {**base, **(overrides or {})})
    common = {
        "slug": study.slug,
        "budget": dict(budget_used),
        "data": {name: digests[name] for name in study.data.get(budget, ())},
        "code": source.code,
        "versions": {name: text for name, text in versions().items() if name != "neuropil"},
    }
    cells = []
    for start in range(0, len(seeds), study.batch):
        batch = tuple(seeds[start : start + study.batch])
        for name in arms:
            arm = settings(study, name, dict(chosen))
            key = sha256(common | {"arm": name, "settings": dict(arm), "seeds": batch})
            cells.append(Cell(arm, budget_used, batch, key))
    return cells


def compute(
    source: Source, cells: Sequence[Cell], store: Store, *, jobs: int = 1, alone: bool = False, watch: Watcher | None = None
) -> None:
    """Run the cells that the store lacks, ``jobs`` at a time (one at a time where ``alone``), each written as soon as it is finished.

    A failed cell stops the run with one sentence; Ctrl-C stops it at once. Finished cells are kept either way.
    """
    missing = [cell for cell in cells if store.get(cell.key) is None]
    done = len(cells) - len(missing)
    if watch and done:
        watch(Done(done, len(cells), "", True))
    if not missing:
        return
    workers = 1 if alone else max(1, min(jobs, len(missing)))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    with _environment(ONE_THREAD), ProcessPoolExecutor(workers, context, _begin_work, (ours,)) as pool:
        try:
            waiting: dict[Future[None], Cell] = {pool.submit(_work, source, cell, store.root): cell for cell in missing}
            while waiting:
                finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    cell = waiting.pop(future)
                    future.result()
                    done += 1
                    if watch:
                        watch(Done(done, len(cells), cell.arm.name, False))
        except KeyboardInterrupt:
            raise InterruptionError("Interrupted; finished cells are kept, the same command goes on from there.") from None
        except BrokenProcessPool:
            raise AtlasError(
                "A worker process died (killed, out of memory, or started from a script without `if __name__ == '__main__':`); finished cells are kept, run the same again, perhaps with fewer jobs."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            theirs.close()


def table(cells: Sequence[Cell], store: Store, arms: Sequence[str], seeds: Sequence[int]) -> tuple[Table, dict[str, list[float]]]:
    """Read finished cells as one table, and the seconds of computing a seed took, by arm."""
    rows: dict[str, dict[int, Any]] = {arm: {} for arm in arms}
    seconds: dict[str, dict[int, float]] = {arm: {} for arm in arms}
    for cell in cells:
        payload = store.get(cell.key)
        if payload is None:
            raise AtlasError(f"The cell {cell.key[:12]} of arm {cell.arm.name!r} is gone from {store.root}; run the same command again.")
        for seed, outcome in zip(cell.seeds, payload["outcomes"], strict=True):
            rows[cell.arm.name][seed] = decode(outcome)
            seconds[cell.arm.name][seed] = payload["seconds"] / len(cell.seeds)
    return (
        Table(seeds, {arm: [rows[arm][seed] for seed in seeds] for arm in arms}),
        {arm: [seconds[arm][seed] for seed in seeds] for arm in arms},
    )


def _work(source: Source, cell: Cell, root: Any) -> None:
    study = source.load()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    began = time.process_time()
    try:
        outcomes = [encode(outcome) for outcome in study.compute(cell.arm, cell.budget, [Seed(seed) for seed in cell.seeds])]
    except AtlasError:
        raise
    except (Exception, SystemExit) as error:
        import traceback

        last = traceback.extract_tb(error.__traceback__)[-1]
        raise AtlasError(
            f"The trial of arm {cell.arm.name!r} failed at seeds {cell.seeds} with {type(error).__name__}: {error} ({last.filename}:{last.lineno}); mend it and run again, finished cells are kept."
        ) from None
    seconds = time.process_time() - began
    Store(root).put(cell.key, {"outcomes": outcomes, "seconds": seconds})


def _begin_work(lifeline: Connection) -> None:
    """Leave Ctrl-C to the parent, and end with it: its end of the pipe closes when the run stops and when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def leave_with_parent() -> None:
        with contextlib.suppress(EOFError, OSError):
            lifeline.recv_bytes()
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
