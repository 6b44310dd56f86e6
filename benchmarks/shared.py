"""What the benchmarks share: interleaved timing, the machine in words, results on disk."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).resolve().parent / "results"


def interleaved(runs: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Median seconds of each run, taken in turn so that what disturbs the machine disturbs all; one unmeasured turn first."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            seconds = run()
            if turn:
                times[name].append(seconds)
    return {name: statistics.median(each) for name, each in times.items()}


def machine() -> dict[str, Any]:
    """Processor, threads and versions."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")), model)
    return {
        "processor": model,
        "threads": torch.get_num_threads(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


PACKAGES = ("torch", "numba", "spikingjelly", "snntorch", "norse", "avalanche-lib")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def save(name: str, result: Mapping[str, Any]) -> None:
    """Write ``results/NAME.json``, from which the documentation's tables are made."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({**result, "machine": machine()}, indent=1) + "\n")
    print(f"written to {RESULTS / name}.json")
