"""Who is there: a scheduler's workers, each asked once for its versions; those with others than ours get no cells, and are named."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

from neuropil.atlas.conduct.cluster.child import difference
from neuropil.atlas.conduct.plan import machine, versions
from neuropil.atlas.errors import AtlasError

ANSWER_IN, LISTEN_FOR = 15.0, 1.0
"""Seconds that the scheduler, or a worker, has to answer a question, and that are waited for answers at once while there is nobody to work."""


@dataclass(frozen=True)
class Worker:
    """A worker process: where it is, the name of this life of it, and how many GPUs it was started with."""

    address: str
    life: str
    gpus: float


class Roster:
    """The workers of the scheduler that ``client`` is connected to; ``tell`` is given a sentence for each that is refused.

    ``place`` is the scheduler's name for whoever reads. ``patience`` says how many seconds to wait where no worker is there; ``None``: a job system
    starts them, in its own time; ``tend`` asks it again for those that ended, and says in a sentence what it refused.
    """

    def __init__(
        self, client: Any, place: str, tell: Callable[[str], None], patience: float | None, tend: Callable[[], str] = lambda: ""
    ) -> None:
        self._client, self._place, self._tell, self._patience, self._tend = client, place, tell, patience, tend
        self._wanted = {**versions(), "machine": machine()}
        self._admitted: set[str] = set()
        self._asked: dict[str, tuple[Worker, Future[dict[str, str]]]] = {}
        self._empty_since: float | None = None
        self._trouble = ""
        self._refused: dict[str, str] = {}
        self.present: list[Worker] = []

    def look(self) -> None:
        """See who is there now, and ask those who are new; raise ``AtlasError`` where the scheduler gives no answer."""
        try:
            identity = self._client.sync(self._client.scheduler.identity, n_workers=-1, callback_timeout=ANSWER_IN)
        except (OSError, TimeoutError):
            raise AtlasError(
                f"The scheduler of {self._place} is gone; finished cells are kept, the same command goes on from there."
            ) from None
        self._trouble = self._tend()
        self.present = [
            Worker(address, info["id"], (info.get("resources") or {}).get("GPU", 0)) for address, info in identity["workers"].items()
        ]
        for worker in self.present:
            if worker.life not in self._admitted and worker.life not in self._refused and worker.life not in self._asked:
                facts = asyncio.wait_for(self._facts(worker.address), ANSWER_IN)
                self._asked[worker.life] = worker, asyncio.run_coroutine_threadsafe(facts, self._client.loop.asyncio_loop)
        wait([answer for _, answer in self._asked.values()], timeout=0 if self.usable() else LISTEN_FOR)
        for worker, answer in [each for each in self._asked.values() if each[1].done()]:
            del self._asked[worker.life]
            if answer.exception() is not None:
                continue  # it left, or is too busy to answer: asked again at the next look
            if differs := difference(answer.result(), self._wanted):
                self.refuse(worker, differs)
            else:
                self._admitted.add(worker.life)

    def close(self) -> None:
        """Stop listening for answers."""
        for _, answer in self._asked.values():
            answer.cancel()

    def refuse(self, worker: Worker, reason: str) -> str:
        """Give a worker no more cells, and say why."""
        self._admitted.discard(worker.life)
        self._refused[worker.life] = reason
        sentence = f"The worker {worker.address} gets no cells: {reason}"
        self._tell(sentence)
        return sentence

    def usable(self, gpu: bool = False) -> list[Worker]:
        """Give the workers that may get cells; only those with a GPU, where one is asked for."""
        return [worker for worker in self.present if worker.life in self._admitted and (worker.gpus >= 1 or not gpu)]

    def require(self, gpu: bool) -> None:
        """Raise ``AtlasError`` where no worker is usable and waiting longer will not help."""
        if self.usable(gpu):
            self._empty_since = None
            return
        if self.usable():
            raise AtlasError(
                f"These cells need a GPU, and no worker of {self._place} has one; start workers on machines with one by `--resources GPU=1`."
            )
        refused = [(worker, self._refused[worker.life]) for worker in self.present if worker.life in self._refused]
        if refused and len(refused) == len(self.present):
            worker, reason = refused[0]
            others = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
            raise AtlasError(f"No worker of {self._place} can be used; {worker.address}{others}: {reason}")
        self._wait()

    def _wait(self) -> None:
        if self._trouble:
            raise AtlasError(self._trouble)
        now = time.monotonic()
        if self._empty_since is None:
            self._empty_since = now
            self._tell(f"No worker of {self._place} is there yet; waiting for one{'' if self._patience else ' (Ctrl-C stops)'}.")
        if self._patience is not None and now - self._empty_since > self._patience:
            raise AtlasError(
                f"{self._place} has had no worker for {self._patience:.0f} s; start some with `dask worker ADDRESS --nworkers 4 --nthreads 1`, finished cells are kept."
            )

    async def _facts(self, address: str) -> dict[str, str]:
        """Ask by functions of Python's own library only, which any worker has, whatever neuropil it has."""

        async def call(function: Callable[..., str], *arguments: str) -> Any:
            found = (await self._client.run(function, *arguments, workers=[address], on_error="return"))[address]
            if isinstance(found, Exception) and not isinstance(found, importlib.metadata.PackageNotFoundError):
                raise found
            return found

        found = {name: await call(importlib.metadata.version, name) for name in self._wanted if name not in ("python", "machine")}
        found["python"] = await call(platform.python_version)
        found["machine"] = f"{await call(platform.system)} {await call(platform.machine)}"
        return {name: text for name, text in found.items() if isinstance(text, str)}
