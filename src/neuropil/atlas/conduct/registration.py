"""Registration: what will be asked, of what, on which seeds, frozen and committed before any reporting seed runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuropil.atlas.conduct.currency import refuse_changed
from neuropil.atlas.conduct.fingerprint import agrees, parts
from neuropil.atlas.conduct.history import committed, keep_history
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.loading import Source, settings, tuned
from neuropil.atlas.contrast import Contrast
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import PACKAGE, alone, now, read_json, sha256, sweep, write_json
from neuropil.atlas.seeds import derive_seeds
from neuropil.atlas.statistics.estimates import estimate
from neuropil.atlas.statistics.house import check_delta
from neuropil.atlas.statistics.power import LEAST_POWER, WANTED_POWER, seeds_needed
from neuropil.atlas.study import Study


@dataclass(frozen=True)
class Registration:
    """One registration as it lies on disk: ``frozen`` is what its hash covers, ``seeds`` follow from the hash."""

    number: int
    budget: str
    frozen: dict[str, Any]
    hash: str
    seeds: list[int]
    registered_at: str

    @property
    def power(self) -> dict[str, Any]:
        """The power that n was chosen for, and the spread it was computed from."""
        found: dict[str, Any] = self.frozen["power"]
        return found

    @property
    def amends(self) -> str:
        """Why it amends the one before; empty for a first registration."""
        return str(self.frozen["amends"])

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
        found = Registration(number=number, **{key: record[key] for key in ("budget", "frozen", "hash", "seeds", "registered_at")})
    except (KeyError, TypeError):
        raise AtlasError(f"{path} is not a registration; restore it from git.") from None
    if sha256(found.frozen) != found.hash or derive_seeds(found.hash, len(found.seeds)) != found.seeds:
        raise AtlasError(
            f"{path} was edited by hand: its contents do not give its hash; restore it from git, or amend with `neuropil register --amend REASON`."
        )
    return found


def describe(source: Source, study: Study, budget: str, digests: Mapping[str, str]) -> dict[str, Any]:
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
    refuse_changed(source.file)
    with alone(source.writable(), "registering"):
        sweep(source.folder)
        return _register(source, study, budget, digests, fingerprint, off_passed, amend)


def _register(
    source: Source,
    study: Study,
    budget: str,
    digests: Mapping[str, str],
    fingerprint: dict[str, dict[str, float]],
    off_passed: bool,
    amend: str,
) -> Registration:
    folder, ledger = source.folder, Ledger(source.folder)
    already = count(folder)
    keep_history(folder)
    recorded = max((e["registration"] for e in ledger.entries() if e["event"] in ("registered", "amended")), default=0)
    if recorded > already:
        raise AtlasError(f"The ledger records registration {recorded} of {study.slug} and its file is gone; restore {folder} from git.")
    already = min(already, max(recorded, 1))  # one that was killed before the ledger had it is no registration
    looks = ledger.looks(already)
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
    n, power_notes = power_of(study, tuning, budget)
    number = already + 1 if amend else max(already, 1)
    frozen = describe(source, study, budget, digests) | {"n": n, "power": power_notes, "number": number, "amends": amend}
    digest = sha256(frozen)
    registration = Registration(number, budget, frozen, digest, derive_seeds(digest, n), now())
    write_json(path_of(folder, number), {key: value for key, value in asdict(registration).items() if key != "number"})
    ledger.append(
        "amended" if amend else "registered", registration=number, hash_of_registration=digest, n=n, code=source.code, reason=amend
    )
    return registration


def check_current(source: Source, study: Study, registration: Registration, digests: Mapping[str, str]) -> None:
    """Raise ``AtlasError`` unless what is about to run is what was registered, to the last character of its code that counts."""
    folder, ledger = source.folder, Ledger(source.folder)
    entries = ledger.entries()
    claimed = [
        e["hash_of_registration"] for e in entries if e["event"] in ("registered", "amended") and e["registration"] == registration.number
    ]
    if not claimed or claimed[-1] != registration.hash:
        raise AtlasError(
            f"{path_of(folder, registration.number)} is not the one the ledger records; register again, or restore both from git."
        )
    now = describe(source, study, registration.budget, digests)
    changed = [key for key, value in now.items() if sha256(registration.frozen.get(key)) != sha256(value)]
    if changed:
        todo = f"register again: `neuropil register {source.reference}` (no look was taken)"
        if ledger.looks(registration.number):
            todo = f"amend it: `neuropil register {source.reference} --amend REASON`"
            if changed == ["code"]:
                todo += f" to run it on new seeds, or see whether the result still stands: `neuropil refresh {source.reference}`"
        raise AtlasError(f"{study.slug} changed since its registration in {', '.join(changed)}; {todo}.")


def require_committed(source: Source, registration: Registration) -> None:
    """Raise ``AtlasError`` where git does not hold study, tuning and registration as they are, or the ledger lost what git holds."""
    keep_history(source.folder)
    beside = [file for file in parts(source.file).values() if PACKAGE not in file.parents]
    for path in (path_of(source.folder, registration.number), source.folder / "tuning.json", source.file, *beside):
        if committed(path) is False:
            raise AtlasError(f"{path} is not committed as it is; run `git add` and `git commit` before any reporting seed runs.")


def _contrast(contrast: Contrast) -> dict[str, Any]:
    return {
        "a": contrast.a,
        "b": contrast.b,
        "on": contrast.on,
        "delta": contrast.delta,
        "relation": contrast.relation,
        "match": [asdict(match) for match in contrast.matches],
        "why": contrast.why,
        "gate": list(contrast.gate),
    }


def _tuning(source: Source, study: Study, budget: str, fingerprint: dict[str, dict[str, float]]) -> dict[str, Any]:
    path, again = source.folder / "tuning.json", f"`neuropil tune {source.reference} --budget {budget}`"
    record: dict[str, Any] | None = read_json(path).get(budget) if path.exists() else None
    if record is None:
        raise AtlasError(
            f"{study.slug} has no tuning at the {budget} budget; run {again} (it also measures the spread that n follows from)."
        )
    said = [e.get("record") for e in Ledger(source.folder).entries() if e["event"] == "tuned" and e["budget"] == budget]
    if sha256(record) not in said:
        raise AtlasError(f"{path} is not a tuning that the ledger records; restore it from git, or run {again} again.")
    if record["edges"]:
        raise AtlasError(
            f"{study.slug}: the tuning optimum lies at its grid's edge ({'; '.join(record['edges'])}); widen the grid and tune again."
        )
    if sha256(record["rule"]) != sha256(rule_of(study)):
        raise AtlasError(f"{study.slug}: how it is tuned changed since it was tuned; run {again} again.")
    if moved := agrees(record["fingerprint"], fingerprint):
        raise AtlasError(f"{study.slug} changed since it was tuned ({moved}); run {again} again.")
    return record


def rule_of(study: Study) -> dict[str, Any] | None:
    """Put the whole rule of tuning into plain data: grids, seeds, arms, who follows whom; ``None`` where nothing is tuned."""
    return None if study.tune is None else asdict(study.tune) | {"space": {name: asdict(grid) for name, grid in study.tune.grids.items()}}


def power_of(study: Study, tuning: dict[str, Any], budget: str) -> tuple[int, dict[str, Any]]:
    """Compute n and its power for each primary contrast as it stands now, from the values on the tuning seeds of the spread."""
    resplit, items = study.budgets[budget].get("resplit"), study.budgets[budget].get("test_items")
    notes: list[dict[str, Any]] = []
    for contrast in study.primaries:
        values = tuning["spread"]["values"].get(contrast.on, {})
        if not {contrast.a, contrast.b} <= set(values):
            raise AtlasError(f"{study.slug}: the spread of '{contrast}' was not measured when it was tuned; tune it again.")
        a, b = values[contrast.a], values[contrast.b]
        metric = study.metrics[contrast.on].at(study.budgets[budget])
        found = estimate(a, b, metric, resplit)
        n, reached = seeds_needed(found, contrast)
        said = check_delta(contrast, metric, math.fsum(b) / len(b), items * n if items and resplit else items)
        notes.append({"contrast": str(contrast), "spread": found.spread, "n": n, "power": reached, "delta_checked": said})
    chosen = max(note["n"] for note in notes)
    return chosen, {
        "wanted": WANTED_POWER,
        "reached": min(note["power"] for note in notes),
        "from_seeds": tuning["spread"]["seeds"],
        "contrasts": notes,
    }
