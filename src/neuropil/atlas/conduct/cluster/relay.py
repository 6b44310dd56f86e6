"""In a Dask worker: pass cells to a process of this run, and what it printed back; nothing of a study is imported here.

A worker may live for weeks, while neuropil and a study change on disk. So a run gets a fresh process of its own: it has imported what is on disk now, a
trial that crashes takes it alone, and it is started with one thread.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from distributed import get_worker

from neuropil.atlas.conduct.work import ONE_THREAD

MOST_SAID = 64 * 1024
"""Bytes of what one cell prints that are passed on: the last ones."""
_children: dict[str, _Child] = {}
_one_at_a_time = threading.Lock()


class _Child:
    """A process that runs the cells of one run, its folder, and its end of the line."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="neuropil-", dir=folder))
        self.log = (self.folder / "log").open("w+b")
        work = self.folder / "work"
        work.mkdir()
        self.line, theirs = multiprocessing.Pipe()
        command = [sys.executable, "-m", "neuropil.cli.serve", str(theirs.fileno())]
        with theirs:
            self.process = subprocess.Popen(
                command,
                cwd=work,
                env=os.environ | ONE_THREAD,
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
                pass_fds=[theirs.fileno()],
            )

    def ask(self, task: bytes, key: Any, worker: Any) -> dict[str, Any]:
        """Pass a cell on and wait; where Dask gives the task up, end it."""
        began = self.log.seek(0, os.SEEK_END)
        answer, died = None, ""
        try:
            self.line.send_bytes(task)
            while not self.line.poll(0.2):
                if _given_up(key, worker):
                    self.process.kill()
            answer = self.line.recv_bytes()
        except (EOFError, OSError):
            code = self.process.wait()
            died = f"died by signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self.log.seek(max(began, self.log.seek(0, os.SEEK_END) - MOST_SAID))
        return {"answer": answer, "died": died, "said": self.log.read().decode(errors="replace")}

    def end(self) -> None:
        """End the process and remove its folder."""
        self.line.close()
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def relay(session: str, task: bytes) -> dict[str, Any]:
    """Run one cell in the process of this session; one cell at a time, however many threads the worker has."""
    worker = get_worker()
    key = worker.get_current_task()
    with _one_at_a_time:
        for name in [name for name, child in list(_children.items()) if child.process.poll() is not None]:
            end(name)
        child = _children.get(session) or _children.setdefault(session, _Child(worker.local_directory))
        found = child.ask(task, key, worker)
        if found["died"]:
            end(session)
        return found


def end(session: str) -> None:
    """End the process of a session, if it is there."""
    with contextlib.suppress(KeyError):
        _children.pop(session).end()


def _given_up(key: Any, worker: Any) -> bool:
    task = worker.state.tasks.get(key)
    return task is None or task.state == "cancelled"
