"""Refresh: carry results whose code changed without moving a number, say which are stale, run what is registered and pending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from neuropil.atlas.conduct.execute import Executor
from neuropil.atlas.conduct.fingerprint import agrees
from neuropil.atlas.conduct.history import keep_history
from neuropil.atlas.conduct.keeping import behind, mend, torn_table
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.loading import Source
from neuropil.atlas.conduct.local import ONE_PROCESS
from neuropil.atlas.conduct.registration import count
from neuropil.atlas.conduct.result import fingerprint
from neuropil.atlas.conduct.run import smoke
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.index import latest_result, stale


@dataclass(frozen=True)
class Refreshed:
    """What became of one study: ``fresh``, ``carried``, ``would be carried``, ``stale``, ``pending`` (registered, not run) or ``never run``; and its last cost."""

    source: Source
    state: str
    said: str
    seconds: float = 0.0


def refresh(
    source: Source, *, digests: Callable[[Source], Mapping[str, str]], store: Store, on: Executor = ONE_PROCESS, dry: bool = False
) -> Refreshed:
    """Bring one study up to date as far as that costs no look; a carried result is recorded in the ledger.

    Smoke cells run ``on`` an executor. ``dry`` runs them too and writes nothing beside the study; what would be written is said.
    """
    keep_history(source.folder)
    result = latest_result(source.folder)
    registered = count(source.folder)
    if result is None:
        return Refreshed(source, "pending" if registered else "never run", "registered, no result yet" if registered else "not registered")
    seconds = float(result["provenance"]["seconds"])
    if result["registration"]["number"] < registered:
        return Refreshed(source, "pending", f"registration {registered} has no result yet", seconds)
    torn = torn_table(source.folder, result) if dry else mend(source.folder, result)
    mended = f"; {torn.name} is not the result's and {'would be' if dry else 'was'} written again" if torn else ""
    if late := behind(source.folder, result):
        return Refreshed(source, "pending", late + mended, seconds)
    if not stale(source, result):
        return Refreshed(source, "fresh", f"the code is the result's own, or its smoke numbers agree{mended}", seconds)
    study = source.load()
    moved = agrees(result["fingerprint"], fingerprint(study, smoke(source, study, digests=digests(source), store=store, on=on)))
    if moved:
        todo = f"amend and run: `neuropil register {source.reference} --amend REASON`, commit, `neuropil run {source.reference}`"
        return Refreshed(source, "stale", f"{moved}; {todo}{mended}", seconds)
    ledger = Ledger(source.writable())
    if dry:
        return Refreshed(source, "would be carried", f"the code changed and the fingerprint still matches{mended}", seconds)
    ledger.append("carried", registration=result["registration"]["number"], code=source.code, result_code=result["provenance"]["code"])
    return Refreshed(source, "carried", f"the code changed and the fingerprint still matches; recorded in the ledger{mended}", seconds)
