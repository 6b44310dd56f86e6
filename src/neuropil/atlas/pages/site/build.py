"""Write the site: all pages of the atlas into a folder, what has not changed left as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from neuropil.atlas.catalogue import cite
from neuropil.atlas.conduct.loading import Source
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import read_json, said, sha256, write_json, write_text
from neuropil.atlas.guides import guides
from neuropil.atlas.pages.guide import render_guide
from neuropil.atlas.pages.site.board_pages import board_pages
from neuropil.atlas.pages.site.gathering import Atlas, Paper, gather
from neuropil.atlas.pages.site.guide_index import guide_index
from neuropil.atlas.pages.site.index_page import index_page
from neuropil.atlas.pages.site.places import place, places
from neuropil.atlas.pages.site.row_page import row_page
from neuropil.atlas.pages.site.statistics_page import statistics_page
from neuropil.atlas.pages.site.timeline import timeline_page
from neuropil.atlas.pages.study import study_page
from neuropil.atlas.pages.templates import PAGES

MANIFEST = ".neuropil-site.json"
_ALONE = 3
"""Up to so many studies are written without starting other processes."""


@dataclass(frozen=True)
class Built:
    """What was done: the first page, how many pages there are, how many of them were written anew, how many old ones removed.

    ``undrawn`` names, by slug, the studies' own figures that failed, and why; their pages say so, and are written again the next time.
    """

    index: Path
    pages: int
    written: int
    removed: int
    undrawn: Mapping[str, Sequence[str]]


def build(folder: Path, *, jobs: int = 1, watch: Callable[[int, int], None] = lambda done, total: None) -> Built:
    """Write the site into ``folder``; ``watch`` is told how many studies are done, of how many that had changed.

    Raises ``AtlasError`` where the folder holds files that no earlier site wrote, or cannot be written.
    """
    before = _before(folder)
    atlas = gather()
    around = places(atlas)
    made_of: dict[str, str] = {}
    written = 0
    for name, page in _quick_pages(atlas, around):
        made_of[name] = hashlib.sha256(page.encode()).hexdigest()
        written += _write(folder / name, page)
    todo: list[tuple[str, str, Callable[[], list[str]]]] = []
    maker = _maker()
    for paper in atlas.studied:
        name = paper.page
        site = around[paper.row.slug] | place(name)
        key = sha256([maker, paper.code, _inputs(paper), asdict(paper.row), cite(paper.row.slug), site])
        made_of[name] = key
        if before.get(name) != [key, _hash_of(folder / name)]:
            todo.append(
                (paper.row.slug, name, partial(write_study, folder / name, _source(paper), paper.paths[-1], paper.row, paper.code, site))
            )
    undrawn: dict[str, list[str]] = {}
    for done, ((slug, name, _), failed) in enumerate(zip(todo, _each([write for *_, write in todo], jobs), strict=True), 1):
        watch(done, len(todo))
        if failed:
            undrawn[slug], made_of[name] = failed, ""
    gone = [folder / name for name in before if name not in made_of]
    for path in gone:
        path.unlink(missing_ok=True)
    write_json(folder / MANIFEST, {"pages": {name: [key, _hash_of(folder / name)] for name, key in made_of.items()}})
    return Built(folder / "index.html", len(made_of), written + len(todo), len(gone), undrawn)


def write_study(path: Path, source: Source, result: Path, row: Any, code: str, site: dict[str, Any]) -> list[str]:
    """Write one study's page, and give which of its own figures failed, and why."""
    page = study_page(source, result, row=row, code=code, site=site)
    write_text(path, page.html)
    return page.undrawn


def _quick_pages(atlas: Atlas, around: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    yield "index.html", index_page(atlas, place("index.html"))
    yield "timeline.html", timeline_page(atlas, place("timeline.html"))
    yield "statistics.html", statistics_page(atlas, place("statistics.html"))
    yield from board_pages()
    yield "guides.html", guide_index(atlas, place("guides.html"))
    for guide in guides():
        name = f"guides/{guide.slug}.html"
        yield (
            name,
            render_guide(
                guide,
                link=lambda slug: f"../{atlas.by_slug[slug].page}",
                records=lambda slug: atlas.by_slug[slug].record,
                site=around[guide.slug] | place(name),
            ),
        )
    for paper in atlas.papers:
        if not paper.result:
            yield f"rows/{paper.row.slug}.html", row_page(paper, around[paper.row.slug])


def _each(todo: list[Callable[[], list[str]]], jobs: int) -> Iterator[list[str]]:
    if jobs == 1 or len(todo) <= _ALONE:
        for write in todo:
            yield write()
        return
    with ProcessPoolExecutor(min(jobs, len(todo)), get_context("spawn")) as pool:
        for found in [pool.submit(write) for write in todo]:
            yield found.result()


def _write(path: Path, page: str) -> bool:
    if path.is_file() and path.read_text(encoding="utf-8") == page:
        return False
    write_text(path, page)
    return True


def _before(folder: Path) -> dict[str, list[str | None]]:
    """Read what an earlier site wrote here: of every page the hash of what it was made of, and its own."""
    try:
        held = any(folder.iterdir()) if folder.is_dir() else False
    except OSError as error:
        raise AtlasError(said(error, folder)) from None
    if folder.exists() and not folder.is_dir():
        raise AtlasError(f"{folder} is a file; --out names the folder that the site is written into.")
    if held and not (folder / MANIFEST).is_file():
        raise AtlasError(f"{folder} holds files that no `neuropil site` wrote; name a new or empty folder, such as --out site/.")
    if not held:
        return {}
    made: dict[str, list[str | None]] = read_json(folder / MANIFEST)["pages"]
    return made


def _source(paper: Paper) -> Source:
    assert paper.source is not None
    return paper.source


def _inputs(paper: Paper) -> list[str | None]:
    folder = _source(paper).folder
    files = [
        *paper.paths,
        *sorted(folder.glob("registration*.json")),
        *(folder / name for name in ("ledger.jsonl", "tuning.json", "remarks.md")),
    ]
    return [_hash_of(file) for file in files]


def _hash_of(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _maker() -> str:
    """Hash what makes pages: another version of it writes them all again."""
    files = sorted(path for path in PAGES.rglob("*") if path.suffix in (".py", ".j2", ".css", ".js"))
    return sha256([path.read_text(encoding="utf-8") for path in files])
