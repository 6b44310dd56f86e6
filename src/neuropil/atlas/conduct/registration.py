"""Registration: what will be asked, of what, on which seeds, frozen and committed before any reporting seed runs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuropil.atlas.conduct.fingerprint import agrees
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.loading import Source, settings, tuned
from neuropil.atlas.contrast import Contrast
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import read_json, sha256, write_json
from neuropil.atlas.seeds import derive_seeds
from neuropil.atlas.statistics.house import check_delta
from neuropil.atlas.statistics.power import LEAST_POWER
from neuropil.atlas.study import Study


@dataclass(frozen=True)
class Registration:
    """One registration as it lies on disk: ``frozen`` is what its hash covers, ``seeds`` follow from the hash."""

    number: int
    budget: str
    frozen: dict[str, Any]
    hash: str
    seeds: list[int]
    power: dict[str, Any]
    amends: str
    registered_at: str

    @property
    def descriptive(self) -> bool:
        """Whether too little power at the cap of seeds makes this study descriptive: figures, no verdict."""
        return bool(self.power["reached"] < LEAST_POWER)

    @property
    def code(self) -> str:
        """The hash of the code it was registered with."""
        return str(self.frozen["code"])


def path_of(folder: Path, number: int) -> Path:
    """Name the file of a registration: ``registration.json``, then ``registration-2.json``, ..."""
    return folder / ("registration.json" if number == 1 else f"registration-{number}.json")


def count(folder: Path) -> int:
    """Count the registrations of a study."""
    number = 0
    while path_of(folder, number + 1).exists():
        number += 1
    return number


def read(folder: Path, number: int | None = None) -> Registration:
    """Read a registration (the latest unless numbered); raise ``AtlasError`` where there is none or it was edited by hand."""
    number = number or count(folder)
    if number == 0:
        raise AtlasError(
            f"{folder.name} is not registered; run `neuropil tune` and `neuropil register` on it and commit, or explore with --seeds 0:10."
        )
    path = path_of(folder, number)
    record = read_json(path)
    try:
        found = Registration(
            number=number, **{key: record[key] for key in ("budget", "frozen", "hash", "seeds", "power", "amends", "registered_at")}
        )
    except (KeyError, TypeError):
        raise AtlasError(f"{path} is not a registration; restore it from git.") from None
    if sha256(found.frozen) != found.hash or derive_seeds(found.hash, len(found.seeds)) != found.seeds:
        raise AtlasError(
            f"{path} was edited by hand: its contents do not give its hash; restore it from git, or amend with `neuropil register --amend REASON`."
        )
    return found


def describe(source: Source, study: Study, budget: str, digests: Mapping[str, str], n: int | None = None) -> dict[str, Any]:
    """Put everything that a registration freezes into plain data."""
    chosen = tuned(source, study, budget)
    tuning = source.folder / "tuning.json"
    tuning_record = read_json(tuning).get(budget) if tuning.exists() else None
    return {
        "slug": study.slug,
        "claim": study.claim,
        "fidelity": study.fidelity,
        "scale": study.scale,
        "primary": [_contrast(c) for c in study.primaries],
        "secondary": [_contrast(c) for c in study.secondary],
        "metrics": {name: asdict(metric) for name, metric in study.metrics.items()},
        "dose": [asdict(dose) for dose in study.doses],
        "gate": [str(condition) for condition in study.gate.conditions],
        "lesion": asdict(study.lesion),
        "off": asdict(study.off),
        "arms": {arm: dict(settings(study, arm, chosen)) for arm in study.arms},
        "budget": {"name": budget, **study.budgets[budget]},
        "data": {name: digests[name] for name in study.data.get(budget, ())},
        "tuning": sha256(tuning_record),
        "n": n,
        "code": source.code,
    }


def register(
    source: Source,
    study: Study,
    budget: str,
    *,
    digests: Mapping[str, str],
    fingerprint: dict[str, dict[str, float]],
    off_passed: bool,
    amend: str = "",
) -> Registration:
    """Freeze and write a registration; n and power follow from the spread on tuning seeds.

    Raises ``AtlasError`` where tuning is missing, was done with other code or space, or has its optimum at a grid's edge; where a delta is below the
    house table; where strength 0 is not the control; and where a look was taken and no amendment is declared.
    """
    folder, ledger = source.writable(), Ledger(source.folder)
    already = count(folder)
    looks = ledger.looks(already) if already else 0
    if looks and not amend:
        raise AtlasError(
            f"{study.slug} has been looked at (registration {already}, {looks} look{'s' if looks > 1 else ''}); a change after a look is an amendment with new seeds: give --amend REASON."
        )
    if amend and not looks:
        raise AtlasError(f"{study.slug} has not been looked at yet, so there is nothing to amend; register without --amend.")
    if not off_passed:
        raise AtlasError(
            f"{study.slug}: at strength 0 the arm {study.off.arm!r} is not {study.off.equals!r}; mend the mechanism's off switch before registering."
        )
    tuning = _tuning(source, study, budget, fingerprint)
    n, power_notes = _power(study, tuning)
    frozen = describe(source, study, budget, digests, n) | {"number": already + 1 if amend else max(already, 1), "amends": amend}
    number = int(frozen["number"])
    digest = sha256(frozen)
    registration = Registration(
        number, budget, frozen, digest, derive_seeds(digest, n), power_notes, amend, datetime.now(UTC).isoformat(timespec="seconds")
    )
    write_json(path_of(folder, number), {key: value for key, value in asdict(registration).items() if key != "number"})
    ledger.append(
        "amended" if amend else "registered", registration=number, hash_of_registration=digest, n=n, code=source.code, reason=amend
    )
    return registration


def check_current(source: Source, study: Study, registration: Registration, digests: Mapping[str, str]) -> str:
    """Make sure that what is about to run is what was registered; give the code hash the look is counted under.

    Code that changed without moving the fingerprint (``neuropil refresh`` found it equal) counts as the registered code.
    """
    folder, ledger = source.folder, Ledger(source.folder)
    entries = ledger.entries()
    claimed = [
        e["hash_of_registration"] for e in entries if e["event"] in ("registered", "amended") and e["registration"] == registration.number
    ]
    if not claimed or claimed[-1] != registration.hash:
        raise AtlasError(f"{path_of(folder, registration.number)} is not the one the ledger records; restore both from git.")
    now = describe(source, study, registration.budget, digests, registration.frozen["n"])
    carried = {e["code"] for e in entries if e["event"] == "carried" and e["registration"] == registration.number}
    changed = [key for key, value in now.items() if sha256(registration.frozen.get(key)) != sha256(value)]
    if changed == ["code"] and source.code in carried:
        changed = []
    if changed:
        looks = ledger.looks(registration.number)
        todo = (
            f"amend it: `neuropil register {study.slug} --amend REASON`"
            if looks
            else f"register again: `neuropil register {source.reference}` (no look was taken)"
        )
        if changed == ["code"] and looks:
            todo = f"see whether its numbers moved: `neuropil refresh {source.reference}`"
        raise AtlasError(f"{study.slug} changed since its registration in {', '.join(changed)}; {todo}.")
    return registration.code


def committed(path: Path) -> bool | None:
    """Whether git holds the file as it is now; ``None`` where the folder is not under git."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(path.parent), *words], capture_output=True, text=True, check=False)

    try:
        if git("rev-parse", "--is-inside-work-tree").returncode:
            return None
    except FileNotFoundError:
        return None
    tracked = git("ls-files", "--error-unmatch", path.name).returncode == 0
    return tracked and not git("status", "--porcelain", "--", path.name).stdout.strip()


def _contrast(contrast: Contrast) -> dict[str, Any]:
    return {
        "a": contrast.a,
        "b": contrast.b,
        "on": contrast.on,
        "delta": contrast.delta,
        "relation": contrast.relation,
        "match": [asdict(match) for match in contrast.matches],
        "why": contrast.why,
    }


def _tuning(source: Source, study: Study, budget: str, fingerprint: dict[str, dict[str, float]]) -> dict[str, Any]:
    path = source.folder / "tuning.json"
    record = read_json(path).get(budget) if path.exists() else None
    if record is None:
        raise AtlasError(
            f"{study.slug} has no tuning at the {budget} budget; run `neuropil tune {source.reference} --budget {budget}` (it also measures the spread that n follows from)."
        )
    if record["edges"]:
        raise AtlasError(
            f"{study.slug}: the tuning optimum lies at its grid's edge ({'; '.join(record['edges'])}); widen the grid and tune again."
        )
    space = {name: list(grid.values) for name, grid in study.tune.grids.items()} if study.tune else {}
    if record["space"] != space:
        raise AtlasError(
            f"{study.slug}: its tuning space changed since it was tuned; run `neuropil tune {source.reference} --budget {budget}` again."
        )
    if moved := agrees(record["fingerprint"], fingerprint):
        raise AtlasError(
            f"{study.slug} changed since it was tuned ({moved}); run `neuropil tune {source.reference} --budget {budget}` again."
        )
    found: dict[str, Any] = record
    return found


def _power(study: Study, tuning: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    notes = []
    for contrast, spread in zip(study.primaries, tuning["spread"]["primary"], strict=True):
        said = check_delta(contrast, study.metrics[contrast.on], spread["control_mean"], spread["pooled_test_items"])
        notes.append(
            {"contrast": str(contrast), "spread": spread["spread"], "n": spread["n"], "power": spread["power"], "delta_checked": said}
        )
    n = max(note["n"] for note in notes)
    reached = min(note["power"] for note in notes)
    return n, {"wanted": 0.9, "reached": reached, "from_seeds": tuning["spread"]["seeds"], "contrasts": notes}
