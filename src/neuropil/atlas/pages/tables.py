"""The tables of a report page: audit, arms, cost, contrasts, registration, tuning, ledger, provenance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from neuropil.atlas.conduct.ledger import count_looks
from neuropil.atlas.outcome import Table
from neuropil.atlas.pages.wording import CHECKS, Plain, Shown, decimals, mean_of, number, probability, summary, text_of

Facts = list[tuple[str, Any]]
_MARKS = {
    True: ("pass", "pass", "M1 6l3 3 6-7"),
    False: ("fail", "fail", "M2 2l7 7M9 2l-7 7"),
    None: ("not-run", "not run", "M2 5.5h7"),
}


def grid(caption: str, head: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[int] = ()) -> dict[str, Any]:
    """Gather a table; ``numeric`` names the columns set to the right."""
    return {"caption": caption, "head": list(head), "rows": [list(row) for row in rows], "numeric": set(numeric)}


def mark(passed: bool | None) -> Markup:
    """Write pass, fail or not run, with a sign that needs no colour."""
    kind, word, path = _MARKS[passed]
    return Markup(
        f'<span class="mark {kind}"><svg viewBox="0 0 11 11" width="11" height="11" aria-hidden="true"><path d="{path}" fill="none"'
        f' stroke="currentColor" stroke-width="2"/></svg>{word}</span>'
    )


def typeset(text: str) -> str:
    """Set a check's plain text with proper signs: at least, at most, minus, a space before the per cent."""
    text = text.replace(">=", "\u2265").replace("<=", "\u2264")
    return re.sub(r"(?<=\d)%", "\u202f%", re.sub(r"(?<![\w.])-(?=\d)", "\u2212", text))


def percent(share: float) -> str:
    """Write a share as per cent."""
    return f"{100 * share:.0f}\u202f%"


def audit(result: Plain) -> dict[str, Any]:
    """Lay out dose, gate, lesion, off and matches: what was asked, what was found."""
    rows = [
        [
            Markup("{} <small>{}</small>").format(check["name"].split(" (")[0], CHECKS.get(check["name"], "")),
            mark(check["passed"]),
            typeset(check["asked"]),
            typeset(check["found"]),
        ]
        for check in result["checks"]
    ]
    return grid("What was asked of this run, and what was found", ["Check", "Result", "Asked", "Found"], rows)


def arms(result: Plain, table: Table) -> dict[str, Any]:
    """Lay out mean and spread of every described metric for every arm."""
    shown = [name for name in result["metrics"] if any(name in table.numbers(arm) for arm in table.arms)]
    rows = [
        [arm, *(summary(table.values(arm, name), result["metrics"][name]["kind"]) if name in table.numbers(arm) else "" for name in shown)]
        for arm in table.arms
    ]
    heads = [
        f"{result['metrics'][name]['label']} ({result['metrics'][name]['units']}, {result['metrics'][name]['better']} is better)"
        for name in shown
    ]
    n = len(table.seeds)
    caption = f"Mean \u00b1 standard deviation over {n} seeds" if n > 1 else "One seed"
    return grid(caption, ["Arm", *heads], rows, range(1, len(shown) + 1))


def cost(result: Plain) -> dict[str, Any]:
    """Lay out what each arm cost, as measured."""
    names = [name for name in ("parameters", "steps", "samples", "seconds") if any(name in arm["cost"] for arm in result["arms"].values())]
    rows = [
        [arm, *(number(record["cost"][name]) if name in record["cost"] else "" for name in names)] for arm, record in result["arms"].items()
    ]
    return grid("Measured cost, mean of one run", ["Arm", *names], rows, range(1, len(names) + 1))


def settings(result: Plain) -> dict[str, Any]:
    """Lay out the settings each arm ran with, and the budget's."""
    budget = {key: value for key, value in result["budget"].items() if key != "name"}
    rows = [[arm, _pairs(record["settings"])] for arm, record in result["arms"].items()]
    return grid("Settings", ["Arm", "Settings"], [*rows, [f"{result['budget']['name']} budget", _pairs(budget)]])


def _pairs(values: Mapping[str, Any]) -> Markup:
    return Markup(", ").join(Markup("<code>{} = {}</code>").format(key, _plainly(value)) for key, value in values.items()) or Markup("none")


def _plainly(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float):
        return f"{value:g}" if abs(value) < 1e6 else f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plainly, value))
    return str(value)


def contrasts(result: Plain, shown: Sequence[Shown]) -> dict[str, Any]:
    """Lay out every contrast: effect, interval, margin, p, and what it holds equal."""
    rows = []
    for c, plain in zip(shown, result["contrasts"], strict=True):
        sign = ">" if plain["relation"] == "greater" else "~"
        rows.append(
            [
                Markup("{} {} {} <small>on {}{}</small>").format(
                    plain["a"], sign, plain["b"], c.label, "; primary" if plain["role"] == "primary" else ""
                ),
                c.amount,
                c.limits,
                c.margin,
                "" if plain["p"] is None else probability(plain["p"]),
                probability(plain["p_holm"]) if "p_holm" in plain else "",
                held_equal(result, plain),
                Markup("{} <small>n = {}</small>").format(plain["method"], plain["n"]),
            ]
        )
    head = ["Contrast", "Effect", "95 % interval", "Matters from", "p", "p, Holm", "Held equal", "Method"]
    return grid("Positive is better for the first-named arm; ratios above 1 likewise", head, rows)


def held_equal(result: Plain, contrast: Plain) -> str:
    """Say what a contrast holds equal, or ``unmatched: why``."""
    if contrast["unmatched"]:
        return str(contrast["unmatched"])
    role = "matched" if contrast["role"] == "primary" else "matched (secondary)"
    lead = f"{contrast['a']} and {contrast['b']}: "
    said = [check["asked"].removeprefix(lead) for check in result["checks"] if check["name"] == role and check["asked"].startswith(lead)]
    return typeset(", ".join(dict.fromkeys(said)))


def paper_value(result: Plain, table: Table) -> dict[str, Any] | None:
    """Set the paper's value beside ours; ``None`` where the study records none.

    ``paper`` holds ``value`` and ``units``; ``arm`` and ``metric`` name ours where it is not the primary ones.
    """
    known = result["paper"]
    if known.get("value") is None:
        return None
    primary = next((c for c in result["contrasts"] if c["role"] == "primary"), None)
    arm, metric = known.get("arm", primary and primary["a"]), known.get("metric", primary and primary["on"])
    ours = None
    if arm in table.arms and metric in table.numbers(arm):
        described = result["metrics"].get(metric, {"label": metric, "units": "", "kind": "mean"})
        ours = {
            "value": summary(table.values(arm, metric), described["kind"]),
            "units": described["units"],
            "what": f"{described['label']} of {arm}, {result['budget']['name']} scale, n = {len(table.seeds)}",
        }
    return {
        "value": number(known["value"]) if _numeric(known["value"]) else str(known["value"]),
        "units": known.get("units", ""),
        "ours": ours,
    }


def paper(result: Plain) -> Facts:
    """Say how far the run is from the paper, and whatever else ``paper`` holds."""
    known = {key: value for key, value in result["paper"].items() if key not in ("value", "units", "arm", "metric")}
    facts: Facts = [(str(key).replace("_", " "), number(value) if _numeric(value) else str(value)) for key, value in known.items()]
    facts.append(("Distance from the paper", result["distance"]))
    if result["notes"]:
        facts.append(("Notes", result["notes"]))
    return facts


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def registration(result: Plain) -> Facts:
    """Say what was frozen when, and how many seeds that took for which power."""
    found = result["registration"]
    power = found["power"]
    facts: Facts = [
        ("Registered", _when(found["registered_at"]) + (f", {found['times']} times before this look" if found["times"] > 1 else "")),
        ("Held by git", {True: "yes, before the run", False: "no", None: "not under git"}[found["in_git"]]),
        ("Registration", Markup("number {}, <code>{}</code>").format(found["number"], found["hash"])),
        ("Seeds", f"{found['n']}, derived from the registration's hash"),
        (
            "Power",
            f"{percent(power['reached'])} at the smallest difference that matters (wanted: {percent(power['wanted'])}), from the spread on {len(power['from_seeds'])} tuning seeds",
        ),
    ]
    for note in power["contrasts"]:
        checked = f"; {note['delta_checked']}" if note.get("delta_checked") else ""
        facts.append(
            (
                note["contrast"],
                f"spread {text_of(note['spread'])} over tuning seeds: {note['n']} seeds give {percent(note['power'])}{checked}",
            )
        )
    if found["amends"]:
        facts.append(("Amendment, after an earlier look", found["amends"]))
    return facts


def tuning(record: Plain) -> tuple[Facts, dict[str, Any] | None]:
    """Say what was searched and what was kept, and lay out every trial."""
    if not record["space"]:
        return [("Tuning", "nothing was tuned; every arm runs with its stated settings")], None
    facts: Facts = [
        (
            "Tuning space",
            Markup("; ").join(Markup("<code>{}</code>: {}").format(key, _plainly(values)) for key, values in record["space"].items()),
        ),
        (
            "Tuning trials",
            f"{len(record['trials'])} over all tuned arms, each on seeds {_plainly(record['seeds'])}, chosen on {record['on']}",
        ),
        ("Chosen", Markup("; ").join(Markup("{}: {}").format(arm, _pairs(point)) for arm, point in record["chosen"].items())),
    ]
    rows = []
    for trial in record["trials"]:
        values = [value for value in trial["values"] if value is not None]
        kept = record["chosen"].get(trial["arm"]) == trial["point"]
        rows.append(
            [
                trial["arm"],
                _pairs(trial["point"]),
                number(mean_of(values)) if len(values) == len(trial["values"]) else "failed",
                "chosen" if kept else "",
            ]
        )
    return facts, grid(f"Every tuning trial, mean {record['on']} over its seeds", ["Arm", "Point", "Mean", ""], rows, [2])


def looks(result: Plain, ledger: Sequence[Plain]) -> str:
    """Write ``look 1 of 2``; looks taken since the result was written count."""
    if result["registration"] is None:
        return "none; these are not reporting seeds"
    return f"look {result['looks']['this']} of {max(result['looks']['of'], count_looks(ledger))}"


def ledger_table(ledger: Sequence[Plain]) -> dict[str, Any] | None:
    """Lay out the ledger."""
    if not ledger:
        return None
    rows = []
    for entry in ledger:
        said = [
            f"{key} {text_of(entry[key]) if _numeric(entry[key]) else entry[key]}"
            for key in ("n", "trials", "verdict", "effect", "reason")
            if entry.get(key) not in (None, "")
        ]
        rows.append(
            [
                _when(entry["at"]),
                entry["event"],
                entry.get("registration", ""),
                Markup("<code>{}</code>").format(str(entry.get("code", ""))[:10]),
                "; ".join(said),
            ]
        )
    return grid("Append-only, each line carrying the hash of the one before", ["When", "Event", "Registration", "Code", "What"], rows)


def provenance(result: Plain) -> Facts:
    """Say from which code, data, versions and machine the numbers come."""
    p = result["provenance"]
    data = (
        Markup("<br>").join(Markup("{} <code>{}</code>").format(name, digest) for name, digest in p["data"].items())
        or "none; the task is generated from the seed"
    )
    return [
        ("Run on", f"{_when(p['at'])}, {p['machine']}, {text_of(p['seconds'], decimals(p['seconds']))} seconds of computing in all"),
        ("Code", Markup("<code>{}</code>").format(p["code"])),
        ("Commit", Markup("<code>{}</code>").format(p["commit"]) if p["commit"] else "not under version control"),
        ("Data, by SHA-256", data),
        ("Versions", ", ".join(f"{name} {version}" for name, version in p["versions"].items())),
        ("Seeds", Markup("<code>{}</code>").format(", ".join(map(str, result["seeds"])))),
    ]


def _when(at: str) -> str:
    return at[:16].replace("T", " ") + (" UTC" if at.endswith(("+00:00", "Z")) else at[19:])
