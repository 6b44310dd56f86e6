"""Cells: one arm, one budget, one batch of seeds, named by the hash of everything that decides their values; laid out, and read as one table."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from neuropil.atlas.conduct.loading import Experiment, Origin, budget_settings, settings
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import now, sha256
from neuropil.atlas.outcome import Table, decode
from neuropil.atlas.study import Settings


@dataclass(frozen=True)
class Cell:
    """One unit of work, named by the hash of everything that decides its values; among it ``code`` and the checksums of its ``data``."""

    arm: Settings
    budget: Settings
    seeds: tuple[int, ...]
    key: str
    code: str
    data: Mapping[str, str]


def versions() -> dict[str, str]:
    """Name the versions that decide a trial's numbers."""
    named = {"python": platform.python_version()}
    for package in ("neuropil", "torch", "numpy", "scipy", "scikit-learn"):
        with contextlib.suppress(PackageNotFoundError):
            named[package] = version(package)
    return named


def machine() -> str:
    """Name the kind of machine."""
    return f"{platform.system()} {platform.machine()}"


def circumstances() -> dict[str, Any]:
    """What a result says of the run that gave it: versions, machine, time."""
    return {"versions": versions(), "machine": machine(), "at": now()}


def plan(
    source: Origin,
    study: Experiment,
    budget: str,
    arms: Sequence[str],
    seeds: Sequence[int],
    *,
    chosen: Mapping[str, dict[str, float]],
    digests: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
) -> list[Cell]:
    """Lay out the cells, all arms of one batch of seeds before the next batch, so that arms are interleaved in time."""
    base = budget_settings(study, budget)
    budget_used = Settings(budget, {**base, **(overrides or {})})
    code, data = source.code, {name: digests[name] for name in study.data.get(budget, ())}
    common = {
        "slug": study.slug,
        "budget": dict(budget_used),
        "data": data,
        "code": code,
        "versions": {name: text for name, text in versions().items() if name != "neuropil"},
    }
    cells = []
    for start in range(0, len(seeds), study.batch):
        batch = tuple(seeds[start : start + study.batch])
        for name in arms:
            arm = settings(study, name, dict(chosen))
            key = sha256(common | {"arm": name, "settings": dict(arm), "seeds": batch})
            cells.append(Cell(arm, budget_used, batch, key, code, data))
    return cells


def table(cells: Sequence[Cell], store: Store, arms: Sequence[str], seeds: Sequence[int]) -> tuple[Table, dict[str, list[float]]]:
    """Read finished cells as one table, and the seconds of computing a seed took, by arm."""
    rows: dict[str, dict[int, Any]] = {arm: {} for arm in arms}
    seconds: dict[str, dict[int, float]] = {arm: {} for arm in arms}
    for cell in cells:
        payload = store.get(cell.key)
        if payload is None:
            raise AtlasError(f"The cell {cell.key[:12]} of arm {cell.arm.name!r} is gone from {store.root}; run the same command again.")
        for seed, outcome in zip(cell.seeds, payload["outcomes"], strict=True):
            rows[cell.arm.name][seed] = decode(outcome)
            seconds[cell.arm.name][seed] = payload["seconds"] / len(cell.seeds)
    return (
        Table(seeds, {arm: [rows[arm][seed] for seed in seeds] for arm in arms}),
        {arm: [seconds[arm][seed] for seed in seeds] for arm in arms},
    )
