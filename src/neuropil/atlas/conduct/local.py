"""The local executor: worker processes of this machine, one torch thread each, which end with the process that started them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from neuropil.atlas.conduct.loading import Origin
from neuropil.atlas.conduct.plan import Cell
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.conduct.work import ONE_THREAD, Failure, work
from neuropil.atlas.errors import AtlasError


@dataclass(frozen=True)
class Local:
    """Run cells in ``jobs`` processes of this machine."""

    jobs: int = 1

    def run(self, source: Origin, cells: Sequence[Cell], store: Store, *, alone: bool) -> Generator[tuple[Cell, Failure | None]]:
        """Yield each cell when it is in the store, or with its failure; the workers write, so that a killed parent loses no finished cell."""
        workers = 1 if alone else max(1, min(self.jobs, len(cells)))
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        with _environment(ONE_THREAD), ProcessPoolExecutor(workers, context, _begin_work, (ours,)) as pool:
            try:
                waiting: dict[Future[Failure | None], Cell] = {pool.submit(_work, source, cell, store.root): cell for cell in cells}
                while waiting:
                    finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield waiting.pop(future), future.result()
            except BrokenProcessPool:
                raise AtlasError(
                    "A worker process died (killed, out of memory, or started from a script without `if __name__ == '__main__':`); finished cells are kept, run the same again, perhaps with fewer jobs."
                ) from None
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                theirs.close()


ONE_PROCESS = Local()
"""One worker process."""


def _work(source: Origin, cell: Cell, root: Path) -> Failure | None:
    payload = work(source, cell)
    if isinstance(payload, Failure):
        return payload
    Store(root).put(cell.key, payload)
    return None


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
