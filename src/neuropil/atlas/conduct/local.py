"""The local executor: worker processes of this machine, one torch thread each, which end with the process that started them.

A worker holds one cell at a time and says what became of it over its own pipe, so that one that dies takes nothing with it but that cell.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait

from neuropil.atlas.conduct.loading import Origin
from neuropil.atlas.conduct.plan import Cell
from neuropil.atlas.conduct.serve import Answer, Order, serve
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.conduct.work import ONE_THREAD, Failure, described
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import PART

TRIES = 2
"""How often a cell is begun before the end of its process is laid to the cell."""


@dataclass(frozen=True)
class Local:
    """Run cells in ``jobs`` processes of this machine."""

    jobs: int = 1

    def run(self, source: Origin, cells: Sequence[Cell], store: Store, *, alone: bool) -> Generator[tuple[Cell, Failure | None]]:
        """Yield each cell when it is in the store, or with its failure; the workers write, so that a killed parent loses no finished cell.

        A cell whose worker dies is run once more in a fresh one; if that dies too, the cell has failed. A cell that another run is at is
        left to it: only if it is still not there when all else is done is it waited for.
        """
        with contextlib.closing(_Pool(source, store, 1 if alone else max(1, self.jobs))) as pool:
            yield from pool.run(cells)


ONE_PROCESS = Local()
"""One worker process."""


class _Pool:
    """Workers, hired as there are cells for them, and what they were given."""

    def __init__(self, source: Origin, store: Store, most: int) -> None:
        self.source, self.store, self.most = source, store, most
        self.workers: list[_Worker] = []
        self.stillborn = 0
        """Workers in a row that died before they were ready."""

    def run(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Failure | None]]:
        waiting, elsewhere = deque(cells), deque[Cell]()
        deaths: Counter[str] = Counter()
        while waiting or elsewhere or any(worker.cell for worker in self.workers):
            self._hire(len(waiting) + len(elsewhere))
            for worker in self.workers:
                if worker.idle and (waiting or elsewhere):
                    patiently = not waiting
                    worker.give(elsewhere.popleft() if patiently else waiting.popleft(), patiently=patiently)
            for worker in self._heard():
                cell, answer = worker.cell, worker.answer()
                if isinstance(answer, AtlasError):
                    raise answer
                if answer is None:
                    self._bury(worker)
                if cell is None:
                    continue
                if answer is None:
                    deaths[cell.key] += 1
                if answer == "busy":
                    elsewhere.append(cell)
                elif answer is None and deaths[cell.key] < TRIES:
                    waiting.appendleft(cell)
                else:
                    yield cell, worker.post_mortem(cell) if answer is None else answer if isinstance(answer, Failure) else None

    def close(self) -> None:
        for worker in self.workers:
            worker.pipe.close()
        for worker in self.workers:
            worker.end()

    def _hire(self, cells: int) -> None:
        idle = sum(worker.cell is None for worker in self.workers)
        for _ in range(min(self.most - len(self.workers), cells - idle)):
            self.workers.append(_Worker(self.source, self.store))

    def _heard(self) -> list[_Worker]:
        """Wait until a worker has said something or is dead."""
        heard = wait([each for worker in self.workers for each in (worker.pipe, worker.process.sentinel)])
        return [worker for worker in self.workers if worker.pipe in heard or worker.process.sentinel in heard]

    def _bury(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.end()
        self.stillborn = 0 if worker.ready else self.stillborn + 1
        if self.stillborn >= TRIES:
            raise AtlasError(
                "No worker process could start (out of memory, or started from a script without `if __name__ == '__main__':`); mend that and run the same again, finished cells are kept."
            )


class _Worker:
    """One process, its pipe, and the cell that it is at."""

    _numbers = itertools.count()

    def __init__(self, source: Origin, store: Store) -> None:
        context = multiprocessing.get_context("spawn")
        self.crash = store.root / "unfinished" / f".crash-{os.getpid()}-{next(self._numbers)}{PART}"
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, source, store.root, self.crash))
        with _environment(ONE_THREAD):
            self.process.start()
        theirs.close()
        self.cell: Cell | None = None
        self.ready = False
        self.stack = ""

    @property
    def idle(self) -> bool:
        return self.ready and self.cell is None

    def give(self, cell: Cell, *, patiently: bool) -> None:
        """Order a cell; a worker that is dead says so when it is next listened to."""
        self.cell = cell
        with contextlib.suppress(OSError):
            self.pipe.send(Order(cell, patiently))

    def answer(self) -> Answer | None:
        """Give what it said; ``None`` where it is dead."""
        try:
            said: Answer = self.pipe.recv()
        except (EOFError, OSError):
            return None
        self.ready, self.cell = True, None
        return said

    def post_mortem(self, cell: Cell) -> Failure:
        """Say of which cell it died, how, and where Python was if it crashed."""
        code = self.process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = " (killed from outside, perhaps for want of memory)" if code == -signal.SIGKILL else ""
        return Failure(
            f"The worker process died {TRIES} times at {described(cell)}, by {how}{hint}", self.stack or "The process left no stack."
        )

    def end(self) -> None:
        """Close the pipe, at which an idle worker ends, and kill one that is at work; what it has written stays."""
        self.pipe.close()
        self.process.join(0.5)
        self.process.kill()
        self.process.join()
        with contextlib.suppress(OSError):
            self.stack = self.crash.read_text(encoding="utf-8", errors="replace")
            self.crash.unlink()


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
