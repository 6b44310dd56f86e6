"""The process that runs cells on a machine elsewhere: one torch thread, an environment of its own, gone with the worker that started it."""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import signal
import threading
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from neuropil.atlas.conduct.cluster.parcel import Luggage, unpack
from neuropil.atlas.conduct.loading import Experiment, Origin
from neuropil.atlas.conduct.plan import Cell, versions
from neuropil.atlas.conduct.work import Failure, work
from neuropil.atlas.errors import AtlasError

IDLE = 5.0
"""Seconds without a cell after which it ends: whoever sent cells may have been killed. Another is started when a cell comes after all."""


def serve(connection: Connection, digest: Callable[[str], str]) -> None:
    """Run the cells that come through the connection until it closes or falls silent; ``digest`` gives the checksum of a data set, loaded.

    Each is answered in JSON: a ``payload``, a ``failure`` (what the trial raised), or ``refused`` (what this machine lacks).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    asked: SimpleQueue[bytes] = SimpleQueue()

    def read() -> None:
        while True:
            try:
                asked.put(connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            luggage, cell, wanted = pickle.loads(asked.get(timeout=IDLE))
        except Empty:
            return
        connection.send_bytes(json.dumps(answer(luggage, cell, wanted, digest), allow_nan=False).encode())


def answer(luggage: Luggage, cell: Cell, wanted: dict[str, str], digest: Callable[[str], str]) -> dict[str, Any]:
    """Run one cell, where versions, code and data of this machine are those that its key was made with."""
    try:
        if differs := difference(versions(), wanted):
            raise AtlasError(differs)
        origin = unpack(luggage, Path.cwd())
        if (code := origin.code) != cell.code:
            raise AtlasError(
                f"its code of the study or of a part is {code[:12]}, {cell.code[:12]} is wanted; install the same neuropil there, changes included."
            )
        arms = _loaded(origin, code).arms
        if origin.file_of(cell.arm.name) and arms[cell.arm.name]["code"] != cell.arm.get("code"):
            raise AtlasError(f"its code of {cell.arm.name} is not the one here; install the same there.")
        for name, checksum in cell.data.items():
            if (found := digest(name)) != checksum:
                raise AtlasError(f"its data set {name} is {found[:12]}, {checksum[:12]} is wanted; put the same file there.")
        done = work(origin, cell)
    except AtlasError as error:
        return {"refused": str(error)}
    if isinstance(done, Failure):
        return {"failure": [done.sentence, done.traceback]}
    return {"payload": done}


def difference(found: dict[str, str], wanted: dict[str, str]) -> str:
    """Say what is another version; empty where all are the same."""
    wrong = [f"{name} {found.get(name, 'missing')} where {text} is wanted" for name, text in wanted.items() if found.get(name) != text]
    return f"it has {', '.join(wrong)}." if wrong else ""


@cache
def _loaded(origin: Origin, _code: str) -> Experiment:
    """Load once: what cannot be loaded here, and could be where it was planned, is this machine's fault and no trial's."""
    return origin.load()
