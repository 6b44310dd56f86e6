"""The comparison as plain data: means and contrasts of several results, paired by seed where that is sound, and their differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from neuropil.atlas.contrast import Metric
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.statistics.estimates import estimate

Result = Mapping[str, Any]


def compare(named: Mapping[str, Result]) -> dict[str, Any]:
    """Put two or more results (by the name of their file) side by side, as JSON data.

    ``differences``: everything in which the runs differ, a value a result. ``not_comparable``: what follows from that, a sentence each.
    ``means``: arm by arm and metric by metric mean, 95 % t interval over seeds and n, and for two results on the same study, data and budget
    the mean difference over the seeds that they share (second minus first), paired. ``contrasts``: effect, interval and word.
    Raises ``AtlasError`` for fewer than two results.
    """
    if len(named) < 2:
        raise AtlasError(f"A comparison takes two results or more, {len(named)} was given; name another file.")
    results = list(named.values())
    warnings = _not_comparable(results)
    shared = [seed for seed in results[0]["seeds"] if all(seed in result["seeds"] for result in results)]
    paired = len(results) == 2 and len(shared) > 1 and not warnings["work"]
    return {
        "results": [{"name": name, **_summary(result)} for name, result in named.items()],
        "differences": _differences(results),
        "not_comparable": [*warnings["work"], *warnings["standing"]],
        "paired_seeds": len(shared) if paired else 0,
        "means": _means(results, shared if paired else []),
        "contrasts": _contrasts(results),
    }


def _summary(result: Result) -> dict[str, Any]:
    verdict = result["verdict"]
    return {
        "slug": result["slug"],
        "budget": result["budget"]["name"],
        "n": len(result["seeds"]),
        "standing": "exploratory" if verdict is None else "registered",
        "verdict": None if verdict is None else verdict["word"],
        "withheld": [] if verdict is None else verdict["withheld"],
        "set": result.get("set", {}),
        "at": result["provenance"]["at"],
    }


def _not_comparable(results: Sequence[Result]) -> dict[str, list[str]]:
    """``work``: what makes numbers of other work out of them. ``standing``: what makes them worth less than they look."""
    work, standing = [], []
    if len(slugs := _distinct(result["slug"] for result in results)) > 1:
        work.append(f"Other studies ({' and '.join(slugs)}): an arm or a metric of the same name may be another.")
    data = [result["provenance"]["data"] for result in results]
    if moved := [name for name in _keys(data) if len(_distinct(each.get(name) for each in data)) > 1]:
        work.append(f"Other data ({', '.join(moved)}): no number of one says anything about the other's.")
    budgets = [result["budget"] for result in results]
    if moved := [name for name in _keys(budgets) if name != "name" and len(_distinct(each.get(name) for each in budgets)) > 1]:
        work.append(f"Another budget ({', '.join(moved)}): an effect at one size is not the effect at another.")
    exploratory = [result["verdict"] is None for result in results]
    if any(exploratory):
        which = "All are exploratory" if all(exploratory) else f"{sum(exploratory)} of {len(results)} is exploratory"
        standing.append(f"{which}: estimates on seeds that somebody chose, no verdicts, whatever their intervals say.")
    if len(set(map(str, (result["seeds"] for result in results)))) > 1:
        standing.append("Other seeds: only what both ran is paired; elsewhere means stand side by side and no difference is given.")
    return {"work": work, "standing": standing}


def _differences(results: Sequence[Result]) -> list[dict[str, Any]]:
    flat = [_facts(result) for result in results]
    rows = [{"what": key, "values": [facts.get(key) for facts in flat]} for key in _keys(flat)]
    return [row for row in rows if len(_distinct(row["values"])) > 1]


def _facts(result: Result) -> dict[str, Any]:
    """Everything that decides a result or what it may claim, flat."""
    where = result["provenance"]
    facts: dict[str, Any] = {"study": result["slug"], "fidelity": result.get("fidelity"), "scale": result.get("scale")}
    facts |= {f"budget.{name}": value for name, value in result["budget"].items()}
    facts |= {f"arm.{arm}.{name}": value for arm, record in result["arms"].items() for name, value in record["settings"].items()}
    facts["arms"] = ", ".join(result["arms"])
    facts |= {f"contrast.{_name(contrast)}.delta": contrast["delta"] for contrast in result["contrasts"]}
    facts |= {f"metric.{name}": f"{m['kind']}, {m['better']} is better, {m['units']}" for name, m in result["metrics"].items()}
    facts |= {f"data.{name}": digest[:12] for name, digest in where["data"].items()}
    facts |= {f"version.{name}": version for name, version in where["versions"].items()}
    seeds = result["seeds"]
    facts["seeds"] = f"{len(seeds)}: {', '.join(map(str, seeds[:3]))}{', ...' if len(seeds) > 3 else ''}"
    registration = result["registration"]
    facts["registration"] = None if registration is None else f"{registration['number']} ({registration['hash'][:12]})"
    return facts | {"code": where["code"][:12], "machine": where["machine"]}


def _means(results: Sequence[Result], shared: Sequence[int]) -> list[dict[str, Any]]:
    found = []
    for arm in _keys([result["arms"] for result in results]):
        records = [result["arms"].get(arm, {"metrics": {}})["metrics"] for result in results]
        for metric in _keys(records):
            values = [_numbers(record.get(metric, [])) for record in records]
            row: dict[str, Any] = {"arm": arm, "metric": metric, "units": _units(results, metric)}
            row["values"] = [_mean(each, result) if each else None for each, result in zip(values, results, strict=True)]
            row["difference"] = _paired(values, results, shared) if shared and all(values) else None
            found.append(row)
    return found


def _mean(values: Sequence[float], result: Result) -> dict[str, Any]:
    if not all(map(math.isfinite, values)):
        never = sum(not math.isfinite(value) for value in values)
        return {"mean": None, "interval": None, "n": len(values), "note": f"{never} of {len(values)} never got there"}
    found = estimate(values, [0.0] * len(values), Metric(""), result["budget"].get("resplit"))
    return {"mean": found.effect, "interval": list(found.interval) if math.isfinite(found.interval[0]) else None, "n": found.n, "note": ""}


def _paired(values: Sequence[Sequence[float]], results: Sequence[Result], shared: Sequence[int]) -> dict[str, Any] | None:
    first, second = ([each[list(result["seeds"]).index(seed)] for seed in shared] for each, result in zip(values, results, strict=True))
    if not all(map(math.isfinite, (*first, *second))):
        return None
    found = estimate(second, first, Metric(""), results[0]["budget"].get("resplit"))
    return {"mean": found.effect, "interval": list(found.interval), "n": found.n}


def _contrasts(results: Sequence[Result]) -> list[dict[str, Any]]:
    by_name = [{_name(contrast): contrast for contrast in result["contrasts"]} for result in results]
    shown = ("effect", "interval", "units", "scale", "delta", "p", "n", "word", "role")
    return [
        {"contrast": name, "values": [{key: each[name][key] for key in shown} if name in each else None for each in by_name]}
        for name in _keys(by_name)
    ]


def _name(contrast: Mapping[str, Any]) -> str:
    return f"{contrast['a']} {'>' if contrast['relation'] == 'greater' else '~'} {contrast['b']} on {contrast['on']}"


def _numbers(values: Sequence[Any]) -> list[float]:
    return [float(value["float"]) if isinstance(value, dict) else float(value) for value in values]


def _units(results: Sequence[Result], metric: str) -> str:
    return " / ".join(_distinct(result["metrics"][metric]["units"] for result in results if metric in result["metrics"]))


def _keys(maps: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for each in maps for key in each))


def _distinct(values: Any) -> list[Any]:
    """Values once each, in their order; lists and tuples are one value."""
    return list({repr(list(value) if isinstance(value, tuple) else value): value for value in values}.values())
