"""The command that compares: parts of one kind on the same tasks, ranked under equal budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuropil.atlas.errors import AtlasError
from neuropil.cli.common import CORES, Jobs, On, app, err, out, placed, read_seeds, tell_moved

if TYPE_CHECKING:
    from neuropil.atlas.board.source import BoardSource


EPILOG = (
    "`neuropil board` lists boards and their tasks; `neuropil board NAME` shows how its entries rank on each task, and who refuses which and why; `--task TASK` one of them. "
    "`neuropil board memories --task pairs --entries WillshawMemory,mine.py:Mine --seeds 0:3` puts a part of your own beside one of the library."
)


@app.command("board", epilog=EPILOG)
def read_board(
    name: Annotated[
        str | None,
        typer.Argument(help="A board, or the path of your own board file (.py); without one, boards are listed.", metavar="NAME|FILE.py"),
    ] = None,
    task: Annotated[str | None, typer.Option(help="One task of the board; all by default.")] = None,
    entries: Annotated[
        str | None,
        typer.Option(help="Explore with these entries only, as a,b; for a part of your own (a cell, a memory, a strategy) FILE.py:Class."),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Explore with these seeds, as 0:3 or 3,5; nothing is kept as a result.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Run what is missing or stale; finished work is never done again.")] = False,
    jobs: Jobs = CORES,
    on: On = "local",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the results to this file.", metavar="FILE", dir_okay=False)
    ] = None,
    page: Annotated[Path | None, typer.Option("--out", help="Write a page about them.", metavar="FILE.html", dir_okay=False)] = None,
) -> None:
    """Compare parts of one kind on the same tasks: ranks with intervals and costs, no verdict."""
    from neuropil.atlas.board.layout import overview, ranking, remarks
    from neuropil.atlas.board.source import find
    from neuropil.atlas.files import write_json, write_text

    if name is None:
        _list()
        return
    for option, path in (("--json", json_file), ("--out", page)):
        if path is not None and not path.parent.is_dir():
            raise AtlasError(f"{option} names {path}, and the folder {path.parent} does not exist; make it first.")
    source = find(name)
    board = source.load()
    chosen = None if entries is None else tuple(entry.strip() for entry in entries.split(","))
    tasks = [task] if task is not None else list(board.tasks)
    for each in tasks:
        board.on(each, chosen)
    explored = read_seeds(seeds)
    ran = run or explored is not None or chosen is not None
    found = [_run(source, each, explored, chosen, jobs, on) if ran else _committed(source, each) for each in tasks]
    results = [result for result in found if result is not None]
    if not results:
        raise AtlasError(
            f"The board {source.name} has no committed result yet; run it with `neuropil board {name} --run`, or look with --seeds 0:3."
        )
    old = {result["task"]: {} if ran else _stale(source, result) for result in results}
    for result in results:
        out.print(ranking(result, out.width, old[result["task"]]))
        out.print(remarks(result, old[result["task"]]))
    if len(results) > 1:
        out.print(overview(results))
    if ran and explored is None and chosen is None:
        out.print(f"Written to {source.folder}; commit it.", soft_wrap=True)
    if json_file is not None:
        write_json(json_file, results if task is None else results[0])
    if page is not None:
        from neuropil.atlas.pages.board import render_page

        write_text(page, render_page(results, old=old))
        out.print(f"The page: {page.resolve()}", soft_wrap=True)


def _list() -> None:
    from neuropil.atlas.board.layout import boards_table

    rows = []
    for name, task, about, result, old in standing():
        state = "not run" if result is None else f"{len(result['entries'])} entries, {len(result['seeds'])} seeds"
        rows.append((name, task, about, state + (f", {len(old)} to run" if old else "")))
    out.print(boards_table(rows))
    out.print("Read one: `neuropil board NAME --task TASK`; put a part of your own on it: `--entries FILE.py:Class --seeds 0:3`.")


def standing() -> Iterator[tuple[str, str, str, dict[str, Any] | None, dict[str, str]]]:
    """Yield every task of every board: board, task, what it asks, its committed result, and why entries would be run."""
    from neuropil.atlas.board.source import boards

    for source in boards().values():
        for task, facts in source.load().tasks.items():
            result = _committed(source, task)
            yield source.name, task, facts.about, result, _stale(source, result) if result else {}


def _run(source: BoardSource, task: str, seeds: list[int] | None, entries: tuple[str, ...] | None, jobs: int, on: str) -> dict[str, Any]:
    from neuropil.atlas.board.run import run
    from neuropil.atlas.conduct.store import Store
    from neuropil.atlas.terminal import progress

    store = Store()
    with placed(on, jobs) as executor, progress(err, f"{source.name} {task}") as watch:
        result = run(source, task, digests=_digests(source, task), store=store, on=executor, seeds=seeds, entries=entries, watch=watch)
    tell_moved(store)
    return result


def _digests(source: BoardSource, task: str) -> Mapping[str, str]:
    from neuropil.data import load

    return {name: load(name).sha256 for name in source.load().tasks[task].data}


def _committed(source: BoardSource, task: str) -> dict[str, Any] | None:
    from neuropil.atlas.board.result import committed

    return committed(source, task)


def _stale(source: BoardSource, result: dict[str, Any]) -> dict[str, str]:
    from neuropil.atlas.board.result import stale_now

    return stale_now(source, result)
