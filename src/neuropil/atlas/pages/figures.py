"""A study's own figures: drawn from a stored result by the study's code, and kept in the cache as long as neither changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from neuropil.atlas.conduct.loading import Source
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import sha256
from neuropil.atlas.kept import keep, kept
from neuropil.atlas.pages.wording import id_of
from neuropil.cache import cache_folder

if TYPE_CHECKING:
    from neuropil.atlas.outcome import Table
    from neuropil.atlas.study import Study

Drawn = dict[str, str]
"""``svg`` (empty where it could not be drawn) and ``caption``; ``error`` names a figure that failed, and why."""
_DRAWN_WITH = ("embedding.py", "panels.py", "figures.py")


def draw_all(study: Study | None, table: Table, name: str) -> list[Drawn]:
    """Draw a study's figures; one that needs arms which this run left out is left out too, and says so, as does one that fails."""
    from neuropil.atlas.pages import embedding

    drawn = []
    for key, (caption, function) in (study.figures if study else {}).items():
        try:
            drawn.append({"svg": embedding.draw(function, table, f"{name}-own-{id_of(key)}", caption), "caption": caption})
        except Exception as error:
            drawn.append({"svg": "", "caption": f"{caption} Not drawn: {_said(error)}"})
            if not _left_out(error, study, table):
                drawn[-1]["error"] = f"{key} ({_said(error)})"
    return drawn


def undrawn(figures: Sequence[Drawn]) -> list[str]:
    """Name the figures that failed, and why."""
    return [figure["error"] for figure in figures if "error" in figure]


def figures_of(source: Source, code: str, result: bytes, table: Callable[[], Table], name: str) -> list[Drawn]:
    """Give a study's figures of one stored ``result``, from the cache where it, the study's ``code`` and what draws have not changed.

    Where the study cannot be loaded, say because an extra is not installed, one caption says so.
    """
    key = sha256([code, hashlib.sha256(result).hexdigest(), name, version("matplotlib"), _drawing()])
    path = cache_folder() / "figures" / f"{source.slug}-{hashlib.sha256(str(source.file).encode()).hexdigest()[:8]}.json"
    found = kept(path)
    if found is None or found["key"] != key:
        try:
            study = source.load()
        except AtlasError as error:
            return [{"svg": "", "caption": f"The study's own figures are not drawn: {error}"}]
        found = {"key": key, "figures": draw_all(study, table(), name)}
        if not undrawn(found["figures"]):
            keep(path, found)
    return [figure | {"svg": Markup(figure["svg"])} for figure in found["figures"]]


def _drawing() -> str:
    folder = Path(__file__).parent
    return sha256([(folder / name).read_text(encoding="utf-8") for name in _DRAWN_WITH])


def _left_out(error: Exception, study: Study | None, table: Table) -> bool:
    """Whether the error names an arm that this run left out."""
    missing = set(study.arms if study else ()) - set(table.arms)
    return isinstance(error, AtlasError | KeyError) and any(repr(arm) in str(error) for arm in missing)


def _said(error: Exception) -> str:
    if isinstance(error, AtlasError):
        return str(error)
    return f"this run holds no {error.args[0]}" if isinstance(error, KeyError) else " ".join(f"{type(error).__name__}: {error}".split())
