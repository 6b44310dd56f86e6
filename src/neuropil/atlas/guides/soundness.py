"""Whether a guide is sound: its links lead somewhere, nothing is empty, and what has no link says what would fill it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from neuropil.atlas.catalogue import references, rows
from neuropil.atlas.guides.form import Entry, Guide

_PART = re.compile(r"neuropil\.[a-z]+\.[A-Za-z]\w*")
_LONGEST_TITLE = 70


def validate(guide: Guide, keys: Collection[str] | None = None) -> list[str]:
    """Say what is wrong with a guide (against the bibliography ``keys``), a sentence each; empty when sound. Imports no part."""
    keys = references() if keys is None else keys
    kinds = {row.slug: row.kind for row in rows()}
    wrong = []
    if kinds.get(guide.slug) != "guide":
        wrong.append(f"the catalogue has no row {guide.slug!r} of kind guide")
    wrong += [f"{name!r} is empty" for name in ("source", "argues") if not getattr(guide, name)]
    wrong += [f"it has no {name}" for name in ("order", "sections", "predictions", "disputes") if not getattr(guide, name)]
    for section in guide.sections:
        if not section.title or len(section.title) > _LONGEST_TITLE or section.title.endswith("."):
            wrong.append(f"the title {section.title!r} is not a heading of 1 to {_LONGEST_TITLE} characters without a full stop")
        if not section.entries:
            wrong.append(f"the section {section.title!r} has no entry")
    wrong += [f"{n} entries are called {name!r}" for name, n in Counter(entry.name for entry in guide.entries).items() if n > 1]
    for entry in guide.entries:
        wrong += [f"entry {entry.name!r} {what}" for what in _entry(entry)]
    wrong += ["a prediction says nothing" for prediction in guide.predictions if not prediction.says]
    wrong += ["a dispute says nothing" for dispute in guide.disputes if not dispute.says]
    wrong += [f"the prediction {p.says[:40]!r} names no contrast" for p in guide.predictions if not p.contrast]
    wrong += [f"the dispute {d.says[:40]!r} names no study and no paper" for d in guide.disputes if not (d.studies or d.cites)]
    wrong += [f"study {slug!r} is not in the catalogue" for slug in guide.studies if slug not in kinds]
    wrong += [f"part {part!r} is not written as neuropil.<family>.<Name>" for part in guide.parts if not _PART.fullmatch(part)]
    wrong += [f"key {key!r} is not in references.bib" for dispute in guide.disputes for key in dispute.cites if key not in keys]
    return [f"{guide.slug}: {what}" for what in wrong]


def _entry(entry: Entry) -> list[str]:
    checks = {
        "has no name": not entry.name,
        "says nothing": not entry.says,
        "has neither a link nor `open`, what would fill it": not (entry.parts or entry.studies or entry.open),
        "has links and is said to be open; it is one of the two": bool((entry.parts or entry.studies) and entry.open),
        "links the same thing twice": len({*entry.parts, *entry.studies}) < len(entry.parts) + len(entry.studies),
    }
    return [what for what, is_wrong in checks.items() if is_wrong]
