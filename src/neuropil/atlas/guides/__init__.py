"""Guides: what a review or a position maps out, in our words, each entry linked to the parts and studies here that stand for it.

A guide is ``<slug>.toml`` in this folder, for a row of kind *guide* in the catalogue; docs/guides.md says how to write one.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from neuropil.atlas.catalogue import nearest, row, rows
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.guides.form import READ, Coverage, Dispute, Entry, Guide, Prediction, Section, read_guide
from neuropil.atlas.guides.soundness import validate

__all__ = ["READ", "Coverage", "Dispute", "Entry", "Guide", "Prediction", "Section", "guide", "guides", "has_guide", "validate"]

_HERE = Path(__file__).resolve().parent


def guides() -> tuple[Guide, ...]:
    """All guides, by slug."""
    return tuple(guide(path.stem) for path in sorted(_HERE.glob("*.toml")))


@cache
def guide(slug: str) -> Guide:
    """Read the guide of a catalogued review; raises ``AtlasError`` where the row is none, has none yet, or its file is not in the form."""
    if has_guide(slug):
        return load(_HERE / f"{slug}.toml")
    known = [path.stem for path in sorted(_HERE.glob("*.toml"))]
    written = ", ".join(known)
    near = [s for s in nearest(slug, len(known)) if has_guide(s)] or get_close_matches(slug, known, n=1, cutoff=0.4)
    if all(entry.slug != slug for entry in rows()):
        raise AtlasError(f"There is no guide {slug!r}; {f'did you mean {near[0]!r}? ' if near else ''}there are {written}.")
    if row(slug).kind != "guide":
        raise AtlasError(f"{slug!r} is a {row(slug).kind}, not a guide; look with `neuropil show {slug}`, the guides are {written}.")
    raise AtlasError(f"The guide to {slug!r} is not written yet; {'the nearest is ' + near[0] if near else 'there are ' + written}.")


def has_guide(slug: str) -> bool:
    """Whether a guide to this row is written; reads no guide."""
    return (_HERE / f"{slug}.toml").is_file()


def load(path: Path) -> Guide:
    """Read one guide's file; raises ``AtlasError`` naming the file, the place in it and what is accepted there."""
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AtlasError(f"{path.name} is not readable as TOML ({error}); mend that line.") from None
    except OSError as error:
        raise AtlasError(f"{path} cannot be read ({error.strerror}); give the path of a guide's .toml file.") from None
    return read_guide(plain, path.stem, path.name)
