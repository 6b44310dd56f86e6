"""Kernels compiled by Numba, once for a text and kept on disk; run by threads of our own, as many as torch may use.

The pieces of a kernel touch nothing of one another and release the interpreter's lock, so a plain pool of threads runs them: no second team of OpenMP
threads beside torch's, nothing that a fork or a second caller could break.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neuropil.cache import cache_folder

Array = npt.NDArray[Any]
_SMALL = 1 << 15
"""Below so many updates of a neuron a second thread costs more than it saves."""


class _Process:
    """What one process has: a lock around compiling, and a pool of threads made when first needed; both anew after a fork."""

    def __init__(self) -> None:
        self.begin()
        os.register_at_fork(after_in_child=self.begin)

    def begin(self) -> None:
        """Leave lock and threads to the process that made them."""
        self.lock = threading.Lock()
        self.executor: ThreadPoolExecutor | None = None

    def pool(self) -> ThreadPoolExecutor:
        """The threads of this process."""
        if self.executor is None:
            with self.lock:
                self.executor = self.executor or ThreadPoolExecutor(max(os.cpu_count() or 1, 2), "neuropil-kernel")
        return self.executor


_process = _Process()


def available() -> str:
    """An empty string where kernels can be compiled, else the reason in one sentence."""
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed; `pip install 'neuropil[fast]'` brings it"
    return ""


@cache
def compiled(text: str, name: str, arguments: tuple[int, ...], dtype: str) -> Callable[..., None]:
    """Compile the function ``name`` of a module's ``text`` for arrays of so many axes each and then the six numbers of ``PLACE``.

    Machine code is kept under ``kernels`` in the cache; where that cannot be written it is made anew in every process.
    """
    with _process.lock:
        module, folder = _module(text)
        if folder is not None:
            try:
                return _compile(module, name, arguments, dtype, kept=True)
            except Exception:  # torn machine code, or none that can be written: it is thrown away and made anew
                for torn in folder.glob(f"__pycache__/{module.__name__}*"):
                    with suppress(OSError):
                        torn.unlink()
        return _compile(module, name, arguments, dtype, kept=False)


def _compile(module: ModuleType, name: str, arguments: tuple[int, ...], dtype: str, kept: bool) -> Callable[..., None]:
    import numba

    options = {"nogil": True, "cache": kept, "error_model": "numpy", "boundscheck": False}
    for row in [one for one in vars(module) if one.endswith("_row")]:
        function = getattr(module, row)
        setattr(module, row, numba.njit(**options)(getattr(function, "py_func", function)))
    real = numba.from_dtype(np.dtype(dtype))
    signature = numba.void(*(numba.types.Array(real, axes, "C") for axes in arguments), *numba.types.UniTuple(numba.int64, 6).types)
    return numba.njit(signature, **options)(getattr(module, name))  # type: ignore[no-any-return]


def _module(text: str) -> tuple[ModuleType, Path | None]:
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
        exec(compile(text, name, "exec"), vars(module))
        return module, None
    return module, path.parent if os.access(path.parent, os.W_OK) else None


def run(kernel: Callable[..., None], arrays: Sequence[Array], place: tuple[int, int, int, int], pieces: int) -> None:
    """Run ``kernel`` on all ``pieces`` of the arrays, shared among as many threads as torch may use."""
    threads = min(torch.get_num_threads(), pieces) if arrays[0].size >= _SMALL else 1
    if threads < 2:
        kernel(*arrays, *place, 0, pieces)
        return
    edges = [pieces * share // threads for share in range(threads + 1)]
    others = [_process.pool().submit(kernel, *arrays, *place, first, last) for first, last in pairwise(edges[1:])]
    kernel(*arrays, *place, 0, edges[1])
    for other in others:
        other.result()
