"""The command that reads: guides to the reviews and positions of the atlas."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from neuropil.cli.common import app, out


@app.command("guide")
def read_guide(
    slug: Annotated[str | None, typer.Argument(help="A review or position of the atlas; without one, the guides are listed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read a guide to a review: its map in our words, what here stands for each entry, and what is open."""
    from dataclasses import asdict

    from neuropil.atlas.catalogue import row as find_row
    from neuropil.atlas.guides import guide, guides
    from neuropil.atlas.guides.layout import guides_table, pages
    from neuropil.atlas.index import record

    if slug is None:
        found = guides()
        if as_json:
            print(json.dumps([{"slug": g.slug, "read": g.read} | asdict(g.coverage) for g in found], indent=1))
            return
        out.print(guides_table([(g, find_row(g.slug)) for g in found], out.width))
        out.print(
            "Entries that are open have nothing here yet; each says what would fill it. Read one: `neuropil guide SLUG`.", soft_wrap=False
        )
        return
    chosen = guide(slug)
    if as_json:
        print(json.dumps(asdict(chosen) | {"coverage": asdict(chosen.coverage)}, indent=1, ensure_ascii=False))
        return
    for block in pages(chosen, find_row(slug), lambda linked: record(find_row(linked)), out.width):
        out.print(block)
