"""The comparison for a terminal: what is compared, what differs, means, contrasts, and what may not be read from them."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table as Grid
from rich.text import Text

from neuropil.atlas.terminal import STYLES, interval, number

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def lay_out(compared: dict[str, Any]) -> list[Grid | Text]:
    """Lay a comparison out; of the metrics those that a contrast reads, all where there is none."""
    return [
        _legend(compared["results"]),
        *([_differences(compared)] if compared["differences"] else [Text("The runs do not differ.", style="italic")]),
        _means(compared),
        *([_contrasts(compared)] if compared["contrasts"] else []),
        *(Text(f"! {sentence}", style="yellow") for sentence in compared["not_comparable"]),
    ]


def _grid(title: str, *columns: str) -> Grid:
    grid = Grid(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    return grid


def _legend(results: list[dict[str, Any]]) -> Grid:
    grid = _grid("", "", "file", "study", "budget", "seeds", "verdict")
    for letter, result in zip(LETTERS, results, strict=False):
        word = result["verdict"] or "exploratory, no verdict"
        said = Text(word, style=STYLES.get(word, "italic"))
        if result["withheld"]:
            said.append(f" (withheld: {result['withheld'][0]})", style="red")
        grid.add_row(letter, result["name"], result["slug"], result["budget"], str(result["n"]), said)
    return grid


def _differences(compared: dict[str, Any]) -> Grid:
    grid = _grid("What differs", "", *LETTERS[: len(compared["results"])])
    for row in compared["differences"]:
        grid.add_row(row["what"], *("" if value is None else f"{value}" for value in row["values"]))
    return grid


def _means(compared: dict[str, Any]) -> Grid:
    letters, paired = LETTERS[: len(compared["results"])], compared["paired_seeds"]
    read = {row["contrast"].rsplit(" on ", 1)[1] for row in compared["contrasts"]}
    rows = [row for row in compared["means"] if not read or row["metric"] in read]
    title = "Means over seeds, 95 % intervals" + (f"; B - A over {paired} seeds, paired" if paired else "")
    grid = _grid(title, "arm", "metric", *letters, *(["B - A"] if paired else []))
    for row in rows:
        cells = ["" if value is None else value["note"] or _with(value) for value in row["values"]]
        change = [] if not paired else ["" if row["difference"] is None else _with(row["difference"], sign=True)]
        grid.add_row(row["arm"], Text(f"{row['metric']} ({row['units']})" if row["units"] else row["metric"]), *cells, *change)
    return grid


def _with(value: dict[str, Any], sign: bool = False) -> str:
    limits = value["interval"]
    shown = f"{value['mean']:+.4g}" if sign else number(value["mean"])
    return f"{shown} {interval(limits) if sign else '' if limits is None else f'[{limits[0]:.4g}, {limits[1]:.4g}]'}".strip()


def _contrasts(compared: dict[str, Any]) -> Grid:
    grid = _grid("Contrasts", "contrast", *LETTERS[: len(compared["results"])])
    for row in compared["contrasts"]:
        cells = []
        for value in row["values"]:
            if value is None:
                cells.append(Text("not run", style="dim"))
                continue
            cell = Text(f"{value['effect']:+.4g}{' log ratio' if value['scale'] == 'log' else ''} {interval(value['interval'])}".strip())
            if value["word"]:
                cell.append(f" {value['word']}", style=STYLES.get(value["word"], ""))
            cells.append(cell)
        grid.add_row(row["contrast"], *cells)
    return grid
