"""Run cells: what the store lacks goes to an executor (processes here, or machines elsewhere), each cell is kept as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from neuropil.atlas.conduct.loading import Origin
from neuropil.atlas.conduct.plan import Cell
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.conduct.work import Failure
from neuropil.atlas.errors import AtlasError, InterruptionError


@dataclass(frozen=True)
class Done:
    """What whoever watches is told: how many cells are done of how many, and whether these were already there."""

    done: int
    total: int
    arm: str
    found: bool


Watcher = Callable[[Done], None]


class Executor(Protocol):
    """Somewhere to run cells: processes of this machine, a scheduler's workers."""

    def run(self, source: Origin, cells: Sequence[Cell], store: Store, *, alone: bool) -> Generator[tuple[Cell, Failure | None]]:
        """Run the cells (one at a time where ``alone``) and yield each when its payload lies in the store, or with what failed.

        Raises ``AtlasError`` where no more cells can be run (a dead worker, an unreachable scheduler); what was yielded is kept. When it is
        closed before its end it leaves nothing running.
        """
        ...


def compute(
    source: Origin, cells: Sequence[Cell], store: Store, *, on: Executor, alone: bool = False, watch: Watcher | None = None
) -> None:
    """Run the cells that the store lacks; every finished one is kept, whatever happens to the others.

    A cell that fails is marked so in the store, with its traceback, and the rest goes on; then one ``AtlasError`` tells of all of them.
    """
    store.sweep()
    missing = list({cell.key: cell for cell in cells if store.get(cell.key) is None}.values())
    done = len(cells) - len(missing)
    if watch and done:
        watch(Done(done, len(cells), "", True))
    if not missing:
        return
    failed: list[tuple[Cell, Failure]] = []
    with closing(on.run(source, missing, store, alone=alone)) as finished:
        try:
            for cell, failure in finished:
                if failure is not None:
                    failed.append((cell, failure))
                    store.mark_failed(cell.key, failure.sentence, failure.traceback)
                done += 1
                if watch:
                    watch(Done(done, len(cells), cell.arm.name, False))
        except KeyboardInterrupt:
            raise InterruptionError("Interrupted; finished cells are kept, the same command goes on from there.") from None
    if failed:
        raise AtlasError(_failed(failed, len(missing), store))


def _failed(failed: Sequence[tuple[Cell, Failure]], of: int, store: Store) -> str:
    """Put the failures of a run into one sentence."""
    cell, first = failed[0]
    where = store.failed(cell.key)
    others = f" ({len(failed)} of {of} cells failed, this one first)" if len(failed) > 1 else ""
    beside = ", those of the others beside it" if others else ""
    return f"{first.sentence.rstrip('.')}{others}; mend it and run again, finished cells are kept, its traceback is {where}{beside}."
