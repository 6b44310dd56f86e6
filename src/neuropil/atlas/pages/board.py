"""A board as HTML: one block a task for the site, or a page of its own; made from the stored result alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from neuropil.atlas.board.layout import listed, mean, provisos, refused, to_run, varies
from neuropil.atlas.board.result import per_seed_csv
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.pages import drawing
from neuropil.atlas.pages.board_charts import between, cost_chart, ranking_chart, said
from neuropil.atlas.pages.tables import grid
from neuropil.atlas.pages.wording import decimals, interval, number, probability, text_of

Plain = Mapping[str, Any]
_PAGES = Path(__file__).parent


def render_board(result: Plain, *, note: bool = True, old: Mapping[str, str] = MappingProxyType({})) -> str:
    """Write one task's block; the same result gives the same bytes. The page around it needs ``board_css()``.

    ``note``: what holds for all tasks of the board is said in the block, too. ``old`` names the entries that no longer stand for the code, and
    why (``board.result.stale``). Raises ``AtlasError`` for something that is no result of a board.
    """
    try:
        return str(_environment().get_template("board.html.j2").render(_view(result, note, old)))
    except (KeyError, TypeError, IndexError) as error:
        raise AtlasError(f"This is not a result of a board ({error}); give what `neuropil board NAME --json FILE` writes.") from None


def render_page(
    results: Sequence[Plain], *, old: Mapping[str, Mapping[str, str]] = MappingProxyType({}), site: Mapping[str, Any] | None = None
) -> str:
    """Write a page of its own about tasks of one board; ``old`` names, by task, the entries to be run and why, ``site`` is its place in a site."""
    first = results[0]
    names = list(dict.fromkeys(name for result in results for name in (*result["entries"], *refused(result))))
    rows = [[name, *(_place(result, name) for result in results)] for name in names]
    return str(
        _environment()
        .get_template("board_page.html.j2")
        .render(
            css=Markup((_PAGES / "style.css").read_text(encoding="utf-8").strip() + "\n") + board_css(),
            site=site,
            name=first["board"],
            title=first["title"],
            about=first["about"],
            note=first["board_note"],
            overview=grid(
                f"Rank of every {first['kind']} on every task, and between which ranks it lies",
                ["Entry", *(r["task"] for r in results)],
                rows,
            )
            if len(results) > 1
            else None,
            sections=[Markup(render_board(result, note=False, old=old.get(result["task"], {}))) for result in results],
        )
    )


def board_css() -> Markup:
    """What blocks of boards need beside the style of every page."""
    return Markup((_PAGES / "board.css").read_text(encoding="utf-8").strip())


def _view(result: Plain, note: bool, old: Mapping[str, str]) -> dict[str, Any]:
    id = f"{result['board']}-{result['task']}"
    return {
        "id": id,
        "title": result["task"].replace("-", " ").capitalize(),
        "about": result["task_about"],
        "n": len(result["entries"]),
        "seeds": len(result["seeds"]),
        "committed": result["committed"],
        "ranking": {
            "wide": ranking_chart(result, f"{id}-ranks-w", width=drawing.WIDE),
            "narrow": ranking_chart(result, f"{id}-ranks-n", width=drawing.NARROW),
        },
        "old": to_run(result, old),
        "name": result["board"],
        "top": _top(result),
        "ranks": _ranks(result, old),
        "charts": _charts(result, id),
        "costs": _costs(result),
        "counted": "Means over seeds, on the processor named below; a step's seconds are those of the processor, other work of the machine included.",
        "remarks": _remarks(result, note),
        "tuning": _tuning(result),
        "settings": _settings(result),
        "provenance": _provenance(result),
        "csv": "data:text/csv;charset=utf-8," + quote(per_seed_csv(result)),
        "file": id,
    }


def _top(result: Plain) -> str:
    """Say which entries may be the best, and which are told apart from it."""
    entries = result["entries"]
    if len(entries) < 2:
        return ""
    may = [name for name, facts in entries.items() if facts["between"][0] == 1]
    if len(may) == 1:
        return f"{may[0]} is ahead of all others, beyond chance."
    if len(may) == len(entries):
        return "No entry can be told from the best."
    behind = len(entries) - len(may)
    return f"Any of {listed(may)} may be the best; {behind} {'entry is' if behind == 1 else 'entries are'} surely behind some other."


def _ranks(result: Plain, old: Mapping[str, str]) -> dict[str, Any]:
    floor, better = result["metric"]["floor"], result["metric"]["better"]
    rows, places = [], _decimals(result)
    for name, facts in result["entries"].items():
        chance = floor is not None and facts["interval"] and better == "higher" and facts["interval"][0] <= floor
        score = Markup('{}<small class="flag">not told from chance</small>').format(said(facts, places)) if chance else said(facts, places)
        rows.append(
            [
                Markup('{} <small class="flag">stale</small>').format(name) if name in old else name,
                facts["rank"],
                between(facts),
                score,
                _behind(facts),
                "" if facts["p"] is None else probability(facts["p"]),
            ]
        )
    rows += [[name, "", "", "refuses", "", ""] for name in refused(result)]
    head = ["Entry", "Rank", "Between", f"{result['metric']['label'].capitalize()} [95 %]", "Behind the first [95 %]", "p, adjusted"]
    caption = f"Paired t over {len(result['seeds'])} seeds, Holm over all ordered pairs" + (
        f", Nadeau-Bengio for test/train {result['overlap']:.2g}" if result["overlap"] else ""
    )
    return grid(caption, head, rows, (1, 3, 4, 5))


def _decimals(result: Plain) -> int | None:
    """As many decimals as the middle one of the intervals supports."""
    halves = sorted((facts["interval"][1] - facts["interval"][0]) / 2 for facts in result["entries"].values() if facts["interval"])
    return decimals(halves[len(halves) // 2]) if halves else None


def _behind(facts: Plain) -> Any:
    if facts["behind_interval"] is None:
        return ""
    low, high = facts["behind_interval"]
    places = decimals((high - low) / 2)
    return Markup("{} {}").format(number(facts["behind"], places), interval([low, high], places))


def _costs(result: Plain) -> dict[str, Any]:
    described = result["costs"]
    rows = [[name, *(number(_rounded(mean(facts["costs"][cost]))) for cost in described)] for name, facts in result["entries"].items()]
    heads = [Markup("{} <small>{}</small>").format(facts["label"], facts["units"]) for facts in described.values()]
    return grid("Costs of one entry", ["Entry", *heads], rows, range(1, len(described) + 1))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}") if abs(value) < 1000 else float(round(value))


def _charts(result: Plain, id: str) -> list[dict[str, Any]]:
    """Score against the costs that differ: synaptic operations that took place, and the time of a step."""
    costs, entries = result["costs"], result["entries"]
    wanted: list[tuple[str, float, tuple[str, ...]]] = []
    if {"acs", "macs"} <= set(costs):
        wanted.append(("effective synaptic operations an inference, in thousands", 1e-3, ("acs", "macs")))
    timed = (name for name in costs if costs[name]["kind"] == "time" and varies(result, name))
    wanted += [(f"{costs[name]['label']}, milliseconds", 1e3, (name,)) for name in timed]
    charts = []
    for k, (label, unit, names) in enumerate(wanted):
        of = {entry: unit * sum(mean(facts["costs"][name]) for name in names) for entry, facts in entries.items()}
        drawn = {
            "wide": cost_chart(result, of, label, f"{id}-cost{k}-w", width=drawing.WIDE),
            "narrow": cost_chart(result, of, label, f"{id}-cost{k}-n", width=drawing.NARROW),
        }
        charts.append(
            {"drawn": drawn, "caption": f"{result['metric']['label'].capitalize()} against {label}; up and to the left is better."}
        )
    return charts


def _remarks(result: Plain, note: bool) -> list[str]:
    entries = result["entries"]
    return [
        remark
        for remark in (
            result["note"],
            result["board_note"] if note else "",
            *(f"{name}: {facts['note']}" for name, facts in entries.items() if facts["note"]),
            *provisos(result),
        )
        if remark
    ]


def _tuning(result: Plain) -> dict[str, Any]:
    grids, entries = result["definition"]["grid"], result["entries"]
    points = [trial["point"] for trial in next(iter(entries.values()))["tuning"]]
    heads = [", ".join(f"{axis} {point[axis]:g}" for axis in grids) for point in points]
    rows = [
        [
            name,
            *(number(_rounded(mean(trial["values"]))) for trial in facts["tuning"]),
            ", ".join(f"{axis} {value:g}" for axis, value in facts["chosen"].items()),
        ]
        for name, facts in entries.items()
    ]
    seeds = ", ".join(map(str, result["definition"]["tune"]["seeds"]))
    return grid(
        f"Mean {result['metric']['label']} on tuning seeds {seeds}, and what was chosen",
        ["Entry", *heads, "Chosen"],
        rows,
        range(1, len(heads) + 1),
    )


def _settings(result: Plain) -> dict[str, Any]:
    rows = [
        [
            name,
            ", ".join(f"{key} {value}" for key, value in facts["arm"].items() if key != "code"),
            ", ".join(facts["cites"]),
            facts["arm"]["code"][:12],
        ]
        for name, facts in result["entries"].items()
    ]
    return grid("Entries", ["Entry", "Settings", "Sources", "Code"], rows)


def _provenance(result: Plain) -> list[tuple[str, Any]]:
    found = result["provenance"]
    return [
        ("Budget of every entry", ", ".join(f"{key} {_written(value)}" for key, value in result["definition"]["budget"].items())),
        (
            "Seeds",
            f"{len(result['seeds'])}, from the definition {result['hash'][:12]}"
            if result["committed"]
            else ", ".join(map(str, result["seeds"])),
        ),
        ("Data", ", ".join(f"{name} {digest[:12]}" for name, digest in found["data"].items()) or "generated"),
        ("Code", found["code"][:12]),
        ("Versions", ", ".join(f"{name} {version}" for name, version in found["versions"].items())),
        ("Machine", found["machine"]),
        ("Date", found["at"]),
        ("Computing", f"{text_of(found['seconds'] / 60, 1)} core-minutes for the board's seeds"),
    ]


def _written(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _place(result: Plain, name: str) -> str:
    if name in refused(result):
        return "refuses"
    facts = result["entries"].get(name)
    return "" if facts is None else f"{facts['rank']} ({between(facts)})"


@cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(_PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
