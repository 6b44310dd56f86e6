"""The executor: one cell a worker at a time, written to our store as it comes back; what a dead worker held goes to another."""

from __future__ import annotations

import contextlib
import json
import pickle
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from neuropil.atlas.conduct.cluster.log import Log
from neuropil.atlas.conduct.cluster.parcel import Luggage, pack
from neuropil.atlas.conduct.cluster.relay import end, relay
from neuropil.atlas.conduct.cluster.roster import Roster, Worker
from neuropil.atlas.conduct.loading import Origin
from neuropil.atlas.conduct.plan import Cell, versions
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.conduct.work import Failure, described

RETRIES = 2
"""How often a cell is given to another worker when the one that had it died."""
LOOK_EVERY, FETCH_IN, END_IN = 1.0, 30.0, 5.0
"""Seconds between two looks at who is there, for one answer to come over, and for workers to end what they started."""
_DEATHS = ("KilledWorker", "FutureCancelledError", "CancelledError", "TimeoutError", "CommClosedError")
Finished = Generator[tuple[Cell, Failure | None]]


@dataclass(frozen=True)
class Cluster:
    """Run cells on the workers that ``roster`` knows; ``tell`` is given sentences for whoever watches."""

    client: Any
    roster: Roster
    tell: Callable[[str], None]

    def run(self, source: Origin, cells: Sequence[Cell], store: Store, *, alone: bool) -> Finished:
        """Yield each cell when it is in the store, or with its failure; when closed early, what the workers hold is given up.

        With ``alone`` one worker does all, so that times compare.
        """
        sweep = _Sweep(self, pack(source), cells, store, alone)
        try:
            yield from sweep.results()
        finally:
            sweep.end()


@dataclass(frozen=True)
class _Held:
    """A cell that a worker has, and the promise of its answer."""

    cell: Cell
    worker: Worker
    future: Any
    since: float


class _Sweep:
    """One run: cells that wait, cells that workers hold, and how often the worker of a cell died."""

    def __init__(self, on: Cluster, luggage: Luggage, cells: Sequence[Cell], store: Store, alone: bool) -> None:
        self.on, self.luggage, self.store, self.alone = on, luggage, store, alone
        self.session = uuid.uuid4().hex
        self.waiting = deque(cells)
        self.held: dict[str, _Held] = {}
        self.deaths: Counter[str] = Counter()
        self.done: SimpleQueue[str] = SimpleQueue()
        self.log = Log(store.root, self.session[:8])
        self.versions = versions()
        self.gpu = any(str(cell.budget.get("device", "")).startswith("cuda") for cell in cells)
        self.looked, self.alone_on = float("-inf"), ""

    def results(self) -> Finished:
        while self.waiting or self.held:
            if time.monotonic() - self.looked >= LOOK_EVERY:
                yield from self._look()
            yield from self._submit()
            with contextlib.suppress(Empty):
                key = self.done.get(timeout=LOOK_EVERY)
                for held in [held for held in self.held.values() if held.future.key == key]:
                    yield from self._finish(held)

    def end(self) -> None:
        """Take back what workers hold, and end the processes they started for this run."""
        with contextlib.suppress(Exception):
            self.on.client.cancel([held.future for held in self.held.values()], force=True)
            self.on.client.sync(self._end_children, callback_timeout=END_IN)
        if self.log.printed:
            self.on.tell(f"What trials printed is in {self.log.path}.")

    async def _end_children(self) -> None:
        there = [worker.address for worker in self.on.roster.usable()]
        await self.on.client.run(end, self.session, workers=there, on_error="ignore")

    def _look(self) -> Finished:
        """See who is there; take back what those held who left."""
        self.on.roster.look()
        self.looked = time.monotonic()
        here = {worker.life for worker in self.on.roster.present}
        for held in [held for held in self.held.values() if held.worker.life not in here]:
            yield from self._died(held, f"the worker {held.worker.address} left")
        if not self.held:
            self.on.roster.require(self.gpu)

    def _submit(self) -> Finished:
        """Give a cell to every worker that has none."""
        for worker in self._free():
            while self.waiting and self.store.get(self.waiting[0].key) is not None:
                yield self.waiting.popleft(), None  # another run of the same cells was faster
            if not self.waiting:
                return
            cell = self.waiting.popleft()
            future = self.on.client.submit(
                relay,
                self.session,
                pickle.dumps((self.luggage, cell, self.versions)),
                key=f"neuropil-{cell.key[:16]}-{uuid.uuid4().hex[:16]}",
                workers=[worker.address],
                allow_other_workers=False,
                resources={"GPU": 1} if self.gpu else None,
                pure=False,
            )
            self.held[worker.life] = _Held(cell, worker, future, time.monotonic())
            future.add_done_callback(lambda future: self.done.put(future.key))

    def _free(self) -> list[Worker]:
        usable = self.on.roster.usable(self.gpu)
        if self.alone and usable:
            if self.alone_on not in (worker.life for worker in usable):
                self.alone_on = usable[0].life
                self.log.note(f"the worker {usable[0].address} runs all cells, so that times compare")
            usable = [worker for worker in usable if worker.life == self.alone_on]
        return [worker for worker in usable if worker.life not in self.held]

    def _finish(self, held: _Held) -> Finished:
        """Take an answer: keep the cell, or say what became of it."""
        cell, address = held.cell, held.worker.address
        try:
            found = held.future.result(timeout=FETCH_IN)
        except Exception as error:
            kind = type(error).__name__
            if kind in _DEATHS:
                self.on.roster.look()
                yield from self._died(held, f"the worker {address} died")
            else:
                self._refuse(held, f"it could not start a cell ({kind}: {error}).")
            return
        if found["died"]:
            self.log.add(address, cell, f"its process {found['died']}", held.since, found["said"])
            yield from self._died(held, f"its process on {address} {found['died']}", found["said"])
            return
        answer = json.loads(found["answer"])
        if "refused" in answer:
            self._refuse(held, answer["refused"])
            return
        self._let_go(held)
        failure = Failure(*answer["failure"]) if "failure" in answer else None
        if failure is None:
            self.store.put(cell.key, answer["payload"])
        self.log.add(address, cell, "failed" if failure else "done", held.since, found["said"])
        yield cell, failure

    def _died(self, held: _Held, how: str, said: str = "") -> Finished:
        """Give the cell of a worker that died to another, or give it up."""
        self._let_go(held)
        self.deaths[held.cell.key] += 1
        times = self.deaths[held.cell.key]
        again = times <= RETRIES
        became = "is run again" if again else f"is given up: {times} workers died that had it, perhaps for want of memory"
        sentence = f"{described(held.cell)} {became} (at last {how})"
        self.log.note(sentence)
        if again:
            self.waiting.appendleft(held.cell)
            self.on.tell(f"{sentence}.")
        else:
            yield held.cell, Failure(sentence, said or f"It left no word; {self.log.path} says where it was run.\n")

    def _refuse(self, held: _Held, reason: str) -> None:
        self._let_go(held)
        self.waiting.appendleft(held.cell)
        self.log.note(self.on.roster.refuse(held.worker, reason))

    def _let_go(self, held: _Held) -> None:
        self.held.pop(held.worker.life, None)
        held.future.release()
