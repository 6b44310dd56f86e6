"""The boards of the site: a list of them, and a page a board."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from neuropil.atlas.board import results
from neuropil.atlas.board.layout import to_run
from neuropil.atlas.board.result import stale_now
from neuropil.atlas.board.source import boards as sources
from neuropil.atlas.pages.board import render_page
from neuropil.atlas.pages.site.places import place
from neuropil.atlas.pages.templates import environment, style


def board_pages() -> Iterator[tuple[str, str]]:
    """Write them, each with its path within the site; boards are loaded, to say which entries are stale."""
    known = sources()
    boards = {
        name: list(tasks)
        for name, tasks in groupby(sorted(results(), key=lambda result: str(result["board"])), key=lambda result: str(result["board"]))
    }
    old = {name: {task["task"]: stale_now(known[name], task) for task in tasks} for name, tasks in boards.items()}
    listed = [
        {
            "name": name,
            "title": tasks[0]["title"],
            "about": tasks[0]["about"],
            "kind": tasks[0]["kind"],
            "tasks": [
                {
                    "name": task["task"],
                    "n": len(task["entries"]),
                    "seeds": len(task["seeds"]),
                    "about": task["task_about"],
                    "old": to_run(task, old[name][task["task"]]),
                    "first": [entry for entry, found in task["entries"].items() if found["between"][0] == 1],
                }
                for task in tasks
            ],
        }
        for name, tasks in boards.items()
    ]
    yield "boards.html", environment().get_template("boards.html.j2").render(css=style(), site=place("boards.html"), boards=listed)
    for name, tasks in boards.items():
        yield f"boards/{name}.html", render_page(tasks, old=old[name], site=place(f"boards/{name}.html"))
