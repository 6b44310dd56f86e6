"""What the command line prints of boards: the list, one task ranked, several beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table as Grid
from rich.text import Text

from neuropil.atlas.terminal import number

Plain = Mapping[str, Any]
DESCRIPTIVE = "A board describes: it ranks entries under equal budgets and gives no verdict. Intervals are 95 %, those of ranks for all entries at once."


def boards_table(rows: Sequence[tuple[str, str, str, str]]) -> Grid:
    """Lay out the boards there are: board, task, what it asks, its state."""
    return _grid("Boards", ("board", "task", "asks", "state"), rows, numbers=0)


def ranking(result: Plain, width: int, old: Mapping[str, str]) -> Grid:
    """Lay out one task, the best first; ``old`` names the entries that no longer stand for the code."""
    costs = [name for name in result["costs"] if varies(result, name)][: max(0, (width - 84) // 9)]
    head = ["rank", "between", "entry", result["metric"]["label"], "95 %", *(["behind the first"] if width >= 100 else []), *costs]
    rows = []
    for name, entry in result["entries"].items():
        between = _between(entry)
        limits = "" if entry["interval"] is None else f"[{entry['interval'][0]:.3g}, {entry['interval'][1]:.3g}]"
        row = [str(entry["rank"]), between, name + (" (stale)" if name in old else ""), number(entry["mean"]), limits]
        row += [_behind(entry)] if width >= 100 else []
        rows.append([*row, *(short(mean(entry["costs"][cost])) for cost in costs)])
    rows += [["", "", name, "refuses", *[""] * (len(head) - 4)] for name in refused(result)]
    return _grid(f"{result['title']}: {result['task']} ({len(result['seeds'])} seeds)", head, rows, numbers=3)


def overview(results: Sequence[Plain]) -> Grid:
    """Lay out the ranks of every entry on every task; no mean over tasks, whose scores have no common unit."""
    names = list(dict.fromkeys(name for result in results for name in (*result["entries"], *refused(result))))
    rows = [[name, *(_place(result, name) for result in results)] for name in names]
    return _grid(f"{results[0]['title']}: rank (between)", ["entry", *(result["task"] for result in results)], rows, numbers=1)


def remarks(result: Plain, old: Mapping[str, str]) -> Text:
    """Say what the numbers rest on, and what to be careful with."""
    said = [result["task_about"], DESCRIPTIVE, result["note"], *provisos(result)]
    if not result["committed"]:
        said.append("This run is exploratory and was not kept among the board's results.")
    return Text("\n".join(filter(None, [*said, *to_run(result, old)])), style="dim")


def provisos(result: Plain) -> list[str]:
    """Say which entries refuse the task, were tuned to an end of the grid, were carried, or ran under other versions of a package than the rest."""
    entries = result["entries"]
    at_edge = [name for name, entry in entries.items() if entry["edges"]]
    carried = [name for name, entry in entries.items() if entry["carried"]]
    said = [f"{name} was not run: {why}." for name, why in refused(result).items()]
    if at_edge:
        said.append(f"Tuned to an end of the grid, where more might be won: {listed(at_edge)}.")
    if carried:
        said.append(f"The code of {listed(carried)} changed since without moving the numbers of a smoke run.")
    for package in dict.fromkeys(package for entry in entries.values() for package in entry["provenance"]["versions"]):
        ran: dict[str, list[str]] = {}
        for name, entry in entries.items():
            ran.setdefault(entry["provenance"]["versions"].get(package, "none"), []).append(name)
        if len(ran) > 1:
            said.append(
                f"Entries ran under different versions of {package}: {'; '.join(f'{v} {listed(names)}' for v, names in ran.items())}."
            )
    return said


def to_run(result: Plain, old: Mapping[str, str]) -> list[str]:
    """Say which entries no longer stand for the code and which are new, one sentence a reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, why in old.items():
        reasons.setdefault(("Stale, to be run again" if name in result["entries"] else "To be run", why), []).append(name)
    return [f"{what}: {listed(names)} ({why})." for (what, why), names in reasons.items()]


def listed(names: Sequence[str]) -> str:
    """Write names as a list in words."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def refused(result: Plain) -> Plain:
    """Give the entries that cannot do the task, and why; results from before boards could say so have none."""
    found: Plain = result.get("refused", {})
    return found


def varies(result: Plain, cost: str) -> bool:
    """Whether a cost differs between entries."""
    return len({mean(entry["costs"][cost]) for entry in result["entries"].values()}) > 1


def mean(values: Sequence[float]) -> float:
    """The mean over seeds."""
    return math.fsum(values) / len(values)


def short(value: float) -> str:
    """Write a cost with three figures and a letter for thousands or millions."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _place(result: Plain, name: str) -> str:
    if name in refused(result):
        return "refuses"
    entry = result["entries"].get(name)
    return "" if entry is None else f"{entry['rank']} ({_between(entry)})"


def _between(entry: Plain) -> str:
    low, high = entry["between"]
    return f"{low}" if low == high else f"{low}-{high}"


def _behind(entry: Plain) -> str:
    if entry["behind_interval"] is None:
        return "" if entry["rank"] == 1 else f"{entry['behind']:.3g}"
    low, high = entry["behind_interval"]
    return f"{entry['behind']:.3g} [{low:.2g}, {high:.2g}]"


def _grid(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int) -> Grid:
    """A grid whose columns from ``numbers`` on are set to the right; none where it is 0."""
    grid = Grid(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(head):
        grid.add_column(column, overflow="fold", justify="right" if numbers and index >= numbers else "left")
    for row in rows:
        grid.add_row(*map(Text, row))
    return grid
