"""What a worker does with one cell: load the study, run the trial on one thread, give plain data back, or say what failed."""

from __future__ import annotations

import sys
import time
import traceback
from dataclasses import dataclass
from functools import cache
from typing import Any

from neuropil.atlas.conduct.loading import Experiment, Origin
from neuropil.atlas.conduct.plan import Cell
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.outcome import encode
from neuropil.atlas.seeds import Seed

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
) | {"PYTHONHASHSEED": "0"}
"""The environment that a worker's process is started in: one thread, one order of sets."""


@dataclass(frozen=True)
class Failure:
    """A cell whose trial raised: one sentence, and the whole traceback for whoever mends it."""

    sentence: str
    traceback: str


def work(source: Origin, cell: Cell) -> dict[str, Any] | Failure:
    """Run one cell; give its payload (one outcome a seed, and the seconds of computing they took) or its ``Failure``."""
    try:
        study = _loaded(source, source.code)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        began = time.process_time()
        outcomes = [encode(outcome) for outcome in study.compute(cell.arm, cell.budget, [Seed(seed) for seed in cell.seeds])]
        return {"outcomes": outcomes, "seconds": time.process_time() - began}
    except AtlasError as error:
        return Failure(str(error), traceback.format_exc())
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Failure(
            f"The trial of arm {cell.arm.name!r} failed at seeds {cell.seeds} with {type(error).__name__}: {error} ({last.filename}:{last.lineno})",
            traceback.format_exc(),
        )


@cache
def _loaded(source: Origin, _code: str) -> Experiment:
    """Load a study once a process, and anew when its code has changed."""
    return source.load()
