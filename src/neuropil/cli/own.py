"""Commands for one's own work: new skeletons, results side by side."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from neuropil.atlas.errors import AtlasError
from neuropil.cli.common import app, out


class Skeleton(StrEnum):
    """What `neuropil new` writes."""

    STUDY = "study"
    CELL = "cell"
    STRATEGY = "strategy"
    PACKAGE = "package"


@app.command()
def new(
    kind: Annotated[Skeleton, typer.Argument(help="What to write.")],
    name: Annotated[str, typer.Argument(help="Its name, as slow-inhibition or SlowInhibition.")],
    into: Annotated[Path, typer.Option("--into", help="The folder to write to.", metavar="DIR", file_okay=False)] = Path(),
) -> None:
    """Write a skeleton of your own that runs as it is, with its test: a study, a cell, a continual-learning strategy, or a package of them."""
    from neuropil.atlas.skeletons import Name, write_skeleton

    named = Name(name)
    if kind in (Skeleton.CELL, Skeleton.PACKAGE):
        _refuse_taken(named.camel)
    for path in write_skeleton(kind.value, named, into):
        out.print(str(path), soft_wrap=True, markup=False)
    file = into / f"{named.snake}.py"
    next_steps = {
        Skeleton.STUDY: f"`pytest {into}`, `neuropil run {file} --budget glance`; then put your mechanism in the place of the example's.",
        Skeleton.CELL: f"`pytest {into}`; then change the equation, and `off` with it.",
        Skeleton.STRATEGY: f"`pytest {into}`; then change what it remembers.",
        Skeleton.PACKAGE: f"`pip install -e {into / named.kebab}`, `pytest {into / named.kebab}`, `neuropil show {named.kebab}`.",
    }
    out.print(f"It runs as it is: {next_steps[kind]}", soft_wrap=True, markup=False)


@app.command()
def compare(
    files: Annotated[
        list[Path], typer.Argument(help="Results that `neuropil run --json` wrote, or committed ones.", metavar="A.json B.json [...]")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, every metric of every arm.")] = False,
) -> None:
    """Put results side by side: means, effects, verdicts, and in what the runs differ; paired by seed where the seeds are the same."""
    from neuropil.atlas.comparison.comparing import compare as compare_results
    from neuropil.atlas.comparison.layout import lay_out
    from neuropil.atlas.comparison.reading import read_result

    if len(set(map(str, files))) < len(files):
        raise AtlasError("A file is named twice; a result beside itself says nothing: name another.")
    compared = compare_results({str(file): read_result(file) for file in files})
    if as_json:
        print(json.dumps(compared, indent=1, ensure_ascii=False, allow_nan=False))
        return
    for block in lay_out(compared):
        out.print(block)


def _refuse_taken(name: str) -> None:
    from neuropil.dynamics.registry import CELLS
    from neuropil.packages import load_parts

    load_parts()
    if name in CELLS:
        raise AtlasError(f"A cell {name!r} is registered already, by {CELLS[name].make.__module__}; choose another name.")
