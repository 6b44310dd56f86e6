"""Kernels compiled by Numba, once for a text and kept on disk; run by the threads that torch computes with.

A compiled kernel is one C function of a *table* of whole numbers: sizes, and addresses of arrays. Everyone who runs it takes one piece after another from a
counter in the table, until none is left. Where torch's threads are an OpenMP team (GNU's, or one that answers to its calls), the kernel is run by that very
team: threads of another pool would share the cores with torch's, which spin for some milliseconds after every operation. Elsewhere, and in a process that
was forked, to which the team's threads did not come along, a pool of our own does it.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import linecache
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neuropil.cache import cache_folder

_SMALL = 1 << 15
"""Below so many updates of a neuron a second thread costs more than it saves."""
SIZES = ("taken", "total", "moments", "neurons", "kept", "every", "span", "period", "pieces", "width")
"""What a table begins with: pieces taken and in all; lengths of the arrays; how neurons are cut."""

_COMPILED = '''

import numba
from llvmlite import ir
from numba.extending import intrinsic

numbers = numba.types.CPointer(numba.int64)
reals = numba.types.CPointer(numba.from_dtype(np.dtype(real)))


@intrinsic
def pointer(_, address):
    """The array that begins at an address."""
    return reals(numba.int64), lambda context, builder, signature, given: builder.inttoptr(given[0], context.get_value_type(reals))


@intrinsic
def take(_, table):
    """Add one to the first number of a table, as no two threads do at once; its value before."""
    return numba.int64(numbers), lambda context, builder, signature, given: builder.atomic_rmw("add", given[0], ir.Constant(ir.IntType(64), 1), "seq_cst")
'''
_SHAPES = {"time": "(moments, neurons)", "kept": "(kept, neurons)", "neurons": "(neurons,)"}


class _Process:
    """What one process has: a lock around compiling, and a pool of threads made when first needed; both anew after a fork."""

    def __init__(self) -> None:
        self.begin()
        self.forked = False
        os.register_at_fork(after_in_child=self.fork)

    def begin(self) -> None:
        """Leave lock and threads to the process that made them."""
        self.lock = threading.Lock()
        self.executor: ThreadPoolExecutor | None = None

    def fork(self) -> None:
        """Begin anew in the child."""
        self.begin()
        self.forked = True

    def pool(self) -> ThreadPoolExecutor:
        """The threads of this process."""
        if self.executor is None:
            with self.lock:
                self.executor = self.executor or ThreadPoolExecutor(max(os.cpu_count() or 1, 2), "neuropil-kernel")
        return self.executor


process = _Process()


@cache
def _team() -> Callable[[int, Any, int, int], None] | None:
    """OpenMP's own entry: ``(function, argument, threads, flags)``; None where this process has none that answers to GNU's name for it."""
    try:
        start = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):
        return None
    start.argtypes, start.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None
    return start


def available() -> str:
    """An empty string where kernels can be compiled, else the reason in one sentence."""
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed; `pip install 'neuropil[fast]'` brings it"
    return ""


class Compiled(NamedTuple):
    """Machine code of one kernel: ``run(table)`` does all that is left to do; ``address`` is where it begins."""

    run: Callable[[Any], None]
    address: int
    keep: Any


class Table:
    """A compiled kernel with its arguments: ``sizes`` as ``SIZES`` names them from ``total`` on, and contiguous ``arrays``, which may be changed for others of the same shapes, one by one."""

    def __init__(self, kernel: Compiled, sizes: Sequence[int], arrays: Sequence[Tensor]) -> None:
        self.kernel = kernel
        self.arrays = list(arrays)
        self.numbers = (ctypes.c_int64 * (len(SIZES) + len(arrays)))(0, *sizes, *(array.data_ptr() for array in arrays))
        self.work = sizes[1] * sizes[2]

    def put(self, place: int, array: Tensor) -> None:
        """Let the kernel work on another array in this place."""
        self.arrays[place] = array
        self.numbers[len(SIZES) + place] = array.data_ptr()

    def run(self) -> None:
        """Do all pieces, with as many threads as torch may use."""
        self.numbers[0] = 0
        threads = min(torch.get_num_threads(), self.numbers[1]) if self.work >= _SMALL else 1
        team = _team() if threads > 1 and not process.forked else None
        if threads < 2:
            self.kernel.run(self.numbers)
        elif team is not None:
            team(self.kernel.address, self.numbers, threads, 0)
        else:
            others = [process.pool().submit(self.kernel.run, self.numbers) for _ in range(threads - 1)]
            self.kernel.run(self.numbers)
            for other in others:
                other.result()


@cache
def compiled(text: str, name: str, arrays: tuple[tuple[str, str], ...]) -> Compiled:
    """Compile the function ``name`` of a module's ``text``, whose ``arrays`` are given by name and by what they are (``_SHAPES``), or their shape in terms of ``SIZES``.

    Machine code is kept under ``kernels`` in the cache; where that cannot be written it is made anew in every process.
    """
    with process.lock:
        module, folder = imported(text + _COMPILED + _task(name, arrays))
        if folder is not None:
            try:
                return _compile(module, name, kept=True)
            except Exception:  # torn machine code, or none that can be written: it is thrown away and made anew
                for torn in folder.glob(f"__pycache__/{module.__name__}*"):
                    with suppress(OSError):
                        torn.unlink()
        return _compile(module, name, kept=False)


def _task(name: str, arrays: Sequence[tuple[str, str]]) -> str:
    """The C function around a kernel: arrays from their addresses, then piece after piece."""
    lines = ["", "", "def task(table):", f"    held = numba.carray(table, ({len(SIZES) + len(arrays)},))"]
    lines += [f"    {size} = held[{place}]" for place, size in enumerate(SIZES) if place]
    for place, (array, kind) in enumerate(arrays, len(SIZES)):
        lines.append(f"    {array} = numba.carray(pointer(held[{place}]), {_SHAPES.get(kind, kind)})")
    given = ", ".join([*(array for array, _ in arrays), "every, span, period, pieces, width, piece, piece + 1"])
    return "\n".join(
        [*lines, "    piece = take(table)", "    while piece < total:", f"        {name}({given})", "        piece = take(table)", ""]
    )


def _compile(module: ModuleType, name: str, kept: bool) -> Compiled:
    import numba

    options = {"cache": kept, "error_model": "numpy", "boundscheck": False}
    for inner in [*(one for one in vars(module) if one.endswith("_row")), name]:
        function = getattr(module, inner)
        setattr(module, inner, numba.njit(**options)(getattr(function, "py_func", function)))
    task = numba.cfunc(numba.void(numba.types.CPointer(numba.int64)), **options)(module.task)
    return Compiled(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(task.address), task.address, task)


def imported(text: str) -> tuple[ModuleType, Path | None]:
    """Import ``text`` from a file named by its hash, and give its folder, where Numba keeps machine code; from memory where no file can be."""
    name = f"kernel_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    path = cache_folder() / "kernels" / f"{name}.py"
    if name in sys.modules:
        return sys.modules[name], path.parent if os.access(path.parent, os.W_OK) else None
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
                file.write(text)
            Path(file.name).replace(path)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # where Numba looks for it when it loads machine code
        spec.loader.exec_module(module)
    except OSError:
        module = ModuleType(name)
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)  # where Triton, and a traceback, read it
        exec(compile(text, name, "exec"), vars(module))
        return module, None
    return module, path.parent if os.access(path.parent, os.W_OK) else None
