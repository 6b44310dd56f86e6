"""What the command line prints: tables that fit narrow and wide terminals, progress with the time left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as Grid
from rich.text import Text

from neuropil.atlas.conduct.execute import Done, Watcher

STYLES = {
    "supported": "bold green",
    "negligible": "bold blue",
    "reversed": "bold magenta",
    "undecided": "bold yellow",
    "descriptive": "cyan",
    "unverifiable": "dim",
}


@contextlib.contextmanager
def progress(console: Console, label: str) -> Iterator[Watcher]:
    """Show a bar with cells done and time left while a run lasts; on something that is no terminal, print a line per tenth instead."""
    if not console.is_terminal:
        told = (0, -1)

        def tell(done: Done) -> None:
            nonlocal told
            tenth = 10 * done.done // max(1, done.total)
            if (done.total, tenth) != told:
                told = (done.total, tenth)
                console.print(f"{label}: {done.done} of {done.total} cells")

        yield tell
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, expand=True, transient=True) as bar:
        task = bar.add_task(label, total=None)

        def update(done: Done) -> None:
            what = label if done.found else f"{label} · {done.arm}"
            bar.update(task, completed=done.done, total=done.total, description=what)

        yield update


def number(value: float | None) -> str:
    """Write a number with about four figures."""
    return "" if value is None else f"{value:.4g}"


def interval(limits: list[float] | None) -> str:
    """Write an interval."""
    return "" if limits is None else f"[{limits[0]:+.3g}, {limits[1]:+.3g}]"


def summary(result: dict[str, Any]) -> list[Grid | Text]:
    """Lay out a result for the terminal: arms, contrasts, audit, verdict."""
    blocks: list[Grid | Text] = [_arms(result), _contrasts(result)]
    if any(check["passed"] is not None for check in result["checks"]):
        blocks.append(_checks(result))
    blocks.append(verdict_line(result))
    return blocks


def verdict_line(result: dict[str, Any]) -> Text:
    """Say the verdict, or why there is none."""
    if result["verdict"] is None:
        seeds = f"{len(result['seeds'])} seed{'s' if len(result['seeds']) > 1 else ''}"
        by_hand = "".join(f", {place}={value}" for place, value in result.get("set", {}).items())
        return Text(f"Exploratory ({result['budget']['name']}, {seeds}{by_hand}): an estimate, no verdict.", style="italic")
    word = result["verdict"]["word"]
    line = Text.assemble(
        (word, STYLES[word]), f" at {result['budget']['name']} scale, look {result['looks']['this']} of {result['looks']['of']}"
    )
    for reason in result["verdict"]["withheld"]:
        line.append(f"\n  no verdict: {reason}", style="red")
    return line


def _grid(title: str, *columns: str, numbers: bool = True) -> Grid:
    grid = Grid(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        grid.add_column(column, overflow="fold", justify="right" if numbers and index else "left")
    return grid


def _arms(result: dict[str, Any]) -> Grid:
    wanted = list(dict.fromkeys(contrast["on"] for contrast in result["contrasts"]))[:3]
    grid = _grid("Arms (mean over seeds)", "arm", *wanted, "seconds")
    for arm, record in result["arms"].items():
        cells = []
        for name in wanted:
            values = [float(v["float"]) if isinstance(v, dict) else v for v in record["metrics"].get(name, [])]
            cells.append(number(sum(values) / len(values)) if values else "")
        grid.add_row(arm, *cells, number(record["cost"]["seconds"]))
    return grid


def _contrasts(result: dict[str, Any]) -> Grid:
    grid = _grid("Contrasts", "contrast", "benefit", "95 %", "delta", "p")
    for c in result["contrasts"]:
        sign = ">" if c["relation"] == "greater" else "~"
        mark = "" if c["role"] == "primary" else "secondary: "
        p = c.get("p_holm", c["p"])
        what = Text(f"{mark}{c['a']} {sign} {c['b']} on {c['on']}" + (f" ({c['unmatched']})" if c["unmatched"] else ""))
        units = f"{c['units']}, log ratio" if c["scale"] == "log" else c["units"]
        grid.add_row(
            what,
            f"{c['effect']:+.4g} {units}",
            interval(c["interval"]) or "one seed",
            number(c["delta"]),
            "" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.2g}",
        )
    return grid


def _checks(result: dict[str, Any]) -> Grid:
    grid = _grid("Audit", "check", "asked", "found", "", numbers=False)
    for check in result["checks"]:
        if check["passed"] is not None and (not check["name"].startswith("matched (secondary)") or not check["passed"]):
            mark = Text("pass", style="green") if check["passed"] else Text("FAIL", style="bold red")
            grid.add_row(check["name"], check["asked"], check["found"], mark)
    return grid


def rows_table(records: list[dict[str, Any]], width: int) -> Grid:
    """Lay out rows of the index, fewer columns where the terminal is narrow."""
    wide, narrow = width >= 100, width < 60
    origin = any(record["package"] for record in records)
    columns = (
        ["slug"]
        + (["from"] if origin else [])
        + ([] if narrow else ["family", "tier"])
        + ["verdict"]
        + (["effect", "n", "looks", "title"] if wide else [])
    )
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, expand=wide)
    for column in columns:
        grid.add_column(
            column,
            overflow="fold" if column in ("slug", "effect") else "ellipsis",
            no_wrap=column == "title",
            ratio=1 if column == "title" else None,
        )
    for record in records:
        word = record["verdict"] or ("no verdict yet" if record["status"] == "implemented" else record["status"])
        style = STYLES.get(word, "dim" if word == "catalogued" else "")
        cells: list[Text | str] = [
            record["slug"],
            *([record["package"] or ""] if origin else []),
            *([] if narrow else [record["family"], record["tier"]]),
            Text(word + (" (stale)" if record["stale"] else " (carried)" if record["carried"] else ""), style=style),
        ]
        if wide:
            effect = "" if record["effect"] is None else f"{record['effect']:+.3g} {interval(record['interval'])}"
            cells += [effect, str(record["n"] or ""), str(record["looks"] or ""), record["title"]]
        grid.add_row(*cells)
    return grid
