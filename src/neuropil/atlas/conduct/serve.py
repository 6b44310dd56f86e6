"""A worker process of the local executor: one cell at a time from its pipe, into the store, and word of it back."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from neuropil.atlas.conduct.loading import Origin
from neuropil.atlas.conduct.plan import Cell
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.conduct.work import Failure, described, work
from neuropil.atlas.errors import AtlasError

Answer = Literal["ready", "kept", "busy"] | Failure | AtlasError
"""The worker is ready; the cell is in the store; another run is at it; it failed; nothing more can be run."""


@dataclass(frozen=True)
class Order:
    """One cell to run; ``patiently`` waits for another run that is at it."""

    cell: Cell
    patiently: bool


def serve(pipe: Connection, source: Origin, root: Path, crash: Path) -> None:
    """Run what is ordered until the other end of the pipe closes: when the run stops, and when it is killed.

    Ctrl-C is left to the parent. Should the process crash, Python's stack is written to the file ``crash``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
    with contextlib.suppress(OSError):
        crash.parent.mkdir(parents=True, exist_ok=True)
        faulthandler.enable(crash.open("w"), all_threads=False)

    def receive() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                orders.put(pipe.recv())
        os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    store = Store(root)
    with contextlib.suppress(OSError):
        pipe.send("ready")
        while True:
            order = orders.get()
            pipe.send(_fulfil(source, order, store))


def _fulfil(source: Origin, order: Order, store: Store) -> Answer:
    cell = order.cell
    try:
        with store.claim(cell.key, wait=order.patiently) as ours:
            if not ours:
                return "busy"
            if store.get(cell.key) is None:
                found = work(source, cell)
                if isinstance(found, Failure):
                    return found
                store.put(cell.key, found)
            return "kept"
    except AtlasError as error:
        return error
    except Exception as error:
        return Failure(f"{described(cell)} could not be kept ({type(error).__name__}: {error})", traceback.format_exc())
