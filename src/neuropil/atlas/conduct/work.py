"""What a worker does with one cell: load the study, run the trial on one thread, give plain data back, or say what failed."""

from __future__ import annotations

import sys
import time
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from neuropil.atlas.conduct.currency import code_now, refuse_changed
from neuropil.atlas.conduct.loading import Experiment, Origin
from neuropil.atlas.conduct.plan import Cell
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import PACKAGE
from neuropil.atlas.outcome import encode
from neuropil.atlas.seeds import Seed

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
) | {"PYTHONHASHSEED": "0"}
"""The environment that a worker's process is started in: one thread, one order of sets."""
_MOST_SAID = 300


@dataclass(frozen=True)
class Failure:
    """A cell whose trial raised, or ended its process: one sentence, and the whole traceback for whoever mends it."""

    sentence: str
    traceback: str


def work(source: Origin, cell: Cell) -> dict[str, Any] | Failure:
    """Run one cell; give its payload (one outcome a seed, and the seconds of computing they took) or its ``Failure``.

    Raises ``AtlasError`` where the code on disk is not, or is no longer, the cell's: nothing may be kept under its key.
    """
    _refuse_other_code(source, cell)
    found = _attempt(source, cell)
    _refuse_other_code(source, cell)
    _refuse_older_in_memory(source, cell.code)
    return found


def described(cell: Cell) -> str:
    """Name a cell in words: its arm and its seeds."""
    return f"arm {cell.arm.name!r} at seeds {cell.seeds}"


def _attempt(source: Origin, cell: Cell) -> dict[str, Any] | Failure:
    slug = source.file.name
    try:
        study = _loaded(source, cell.code)
        slug = study.slug
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        began = time.process_time()
        outcomes = study.compute(cell.arm, cell.budget, [Seed(seed) for seed in cell.seeds])
        return {"outcomes": [encode(outcome) for outcome in outcomes], "seconds": time.process_time() - began}
    except AtlasError as error:
        return Failure(f"{slug}, {described(cell)}: {error}", traceback.format_exc())
    except BaseException as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return Failure(
            f"{slug}: the trial of arm {cell.arm.name!r} failed at seeds {cell.seeds} with {said[:_MOST_SAID]} ({_where(error)})",
            traceback.format_exc(),
        )


def _where(error: BaseException) -> str:
    """Name the last line of the trial's own file that the error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    trial = next((frame.filename for frame in frames if PACKAGE / "atlas" not in Path(frame.filename).parents), "")
    last = next((frame for frame in reversed(frames) if frame.filename == trial), frames[-1])
    return f"{last.filename}:{last.lineno}"


def _refuse_other_code(source: Origin, cell: Cell) -> None:
    own = source.file_of(cell.arm.name)
    for file, code in ((source.file, cell.code), *([(own, cell.arm["code"])] if own else [])):
        try:
            changed = code_now(file) != code
        except FileNotFoundError:
            changed = True
        if changed:
            raise AtlasError(
                f"{file.name}, or a part that it imports, changed on disk while its cells were run; run the same again, finished cells of the code before are kept."
            )


@cache
def _refuse_older_in_memory(source: Origin, _code: str) -> None:
    refuse_changed(source.file)


@cache
def _loaded(source: Origin, _code: str) -> Experiment:
    """Load a study once a process, and anew when its code has changed."""
    return source.load()
