"""Write the generated parts of the README (verdicts and picture, from the committed results) and of CONTRIBUTING (the example study).

``--check`` only compares, and exits 1 where something is out of date.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from neuropil.atlas.catalogue import rows
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import read_json, write_text
from neuropil.atlas.pages.beside import in_deltas
from neuropil.atlas.pages.canvas import Canvas, Scale
from neuropil.atlas.pages.tables import looks
from neuropil.atlas.pages.wording import Shown
from neuropil.atlas.statistics.multiplicity import benjamini_hochberg

ROOT = Path(__file__).resolve().parent.parent
FIDELITY = {"code": "paper and code", "paper": "paper", "reconstructed": "our reading", "unverifiable": "no recoverable equations"}
BADGES = ("supported", "negligible", "reversed", "undecided")
SEEK_A_DIFFERENCE = ("supported", "reversed", "undecided")
SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"
THEMES = {
    "light": {"ink": "#1d2126", "soft": "#57606a", "band": "#e3e7ea", "edge": "#a9b1b8", "supported": "#14628f", "negligible": "#6a5300"}
    | {"reversed": "#a8400a", "undecided": "#7c3f7a", "plain": "#535c65"},
    "dark": {"ink": "#e6e6e1", "soft": "#a0a8b0", "band": "#2a3138", "edge": "#5b656e", "supported": "#6cbcf0", "negligible": "#dcbd55"}
    | {"reversed": "#f59a63", "undecided": "#d79ad2", "plain": "#b3bbc3"},
}
MOST = 8.0
"""The picture ends at this many smallest differences that matter; what lies beyond is an arrow."""


def committed(results: Path) -> list[list[dict[str, Any]]]:
    """Read every registered result, a list a study, the latest registration last; sorted by slug."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(results.glob("*/result*.json")):
        if re.fullmatch(r"result(-\d+)?\.json", path.name):
            result = read_json(path)
            if result.get("verdict") and result.get("registration"):
                found.setdefault(path.parent.name, []).append(result)
    return [sorted(found[slug], key=lambda result: result["registration"]["number"]) for slug in sorted(found)]


def table(studies: Sequence[Sequence[Mapping[str, Any]]], results: Path) -> str:
    """Lay the verdicts out as a Markdown table, one row a study."""
    titles = {row.slug: (row.title, row.year) for row in rows()}
    judged = [s[-1] for s in studies if s[-1]["verdict"]["word"] in SEEK_A_DIFFERENCE and _deciding(s[-1])["p"] is not None]
    q_of = {r["slug"]: q for r, q in zip(judged, benjamini_hochberg([_deciding(r)["p"] for r in judged]), strict=True)}
    lines = [
        "| Paper | Claim | Verdict | Effect [95 % interval] | Matters from | Seeds | q | Looks | Read from |",
        "|---|---|---|---|---|--:|--:|---|---|",
    ]
    for versions in studies:
        result = versions[-1]
        slug = result["slug"]
        title, year = titles.get(slug, (slug, ""))
        shown = [Shown(c, result["metrics"]) for c in result["contrasts"] if c["role"] == "primary"]
        cells = [
            f"[{_cell(title)}](results/{slug})" + (f" ({year})" if year else ""),
            _cell(_short(result["claim"], 140)),
            _verdict(result)
            + "".join(f"; before, registration {v['registration']['number']}: {v['verdict']['word']}" for v in versions[:-1]),
            "<br>".join(_cell(f"{_plain(c.amount)} {_plain(c.limits)}") for c in shown),
            "<br>".join(_cell(_plain(c.margin)) for c in shown),
            str(len(result["seeds"])),
            f"{q_of[slug]:.2g}" if slug in q_of else "",
            looks(result, Ledger(results / slug).entries()),
            FIDELITY[result["fidelity"]],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    verdicts = sum(s[-1]["verdict"]["word"] in BADGES for s in studies)
    bound = f"\n\nVerdicts given: {verdicts}. Were there no difference anywhere, at most {0.05 * verdicts:.2g} of them would be expected to claim one (0.05 each); q is the false-discovery rate (Benjamini-Hochberg) at which each would be called."
    return "\n".join(lines) + (bound if verdicts else "")


def picture(studies: Sequence[Sequence[Mapping[str, Any]]], theme: str) -> str:
    """Draw every primary effect with its intervals, in units of its smallest difference that matters, as a whole SVG file."""
    colour = THEMES[theme]
    marks = [(s[-1], c) for s in studies for c in s[-1]["contrasts"] if c["role"] == "primary"]
    reach = max([2.5, *(abs(v) for _, c in marks for v in (*in_deltas(c)[1], in_deltas(c)[0]) if math.isfinite(v))])
    most = min(MOST, reach * 1.08)
    c, row, left, right = Canvas(800), 52, 16, 784
    bottom = 34 + row * len(marks)
    scale = Scale(-most, most, left, right)
    c.rect(scale(-1), 26, scale(1) - scale(-1), bottom - 26, "band")
    c.line(scale(0), 26, scale(0), bottom, "zero")
    c.text(left, 16, "\u2190 control better", "soft")
    c.text(scale(0), 16, "too small to matter", "soft", "middle")
    c.text(right, 16, "mechanism better \u2192", "soft", "end")
    for index, (result, contrast) in enumerate(marks):
        word, y = result["verdict"]["word"], 34 + row * index
        word = contrast["word"] if word in BADGES else word
        kind = word if word in BADGES else "plain"
        effect, interval, interval90 = in_deltas(contrast)
        c.text(left, y + 12, f"{result['slug']}: {contrast['a']} against {contrast['b']}", "name")
        c.text(right, y + 12, f"{word} at {result['budget']['name']} scale", f"word {kind}", "end")
        for limits, style in ((interval, "thin"), (interval90, "thick")):
            if limits:
                c.line(scale(limits[0]), y + 30, scale(limits[1]), y + 30, f"{style} {kind}")
        if abs(effect) > most:
            x, way = scale(effect), 1 if effect > 0 else -1
            c.path([(x - 9 * way, y + 24), (x, y + 30), (x - 9 * way, y + 36)], f"dot {kind}", closed=True)
        else:
            c.dot(scale(effect), y + 30, 5.5, f"dot {kind}")
    c.line(left, bottom, right, bottom, "zero")
    for value in scale.ticks(9):
        c.line(scale(value), bottom, scale(value), bottom + 4, "zero")
        c.text(scale(value), bottom + 17, f"{value:g}".replace("-", "\u2212"), "soft", "middle")
    c.text((left + right) / 2, bottom + 36, "benefit, in units of the smallest difference that matters", "soft", "middle")
    style = [f"text{{font:13px {SANS};fill:{colour['ink']}}}.soft{{fill:{colour['soft']}}}.name,.word{{font-weight:600}}"]
    style.append(f".band{{fill:{colour['band']}}}.zero{{stroke:{colour['edge']}}}.thin{{stroke-width:2}}.thick{{stroke-width:7}}")
    style += [f"line.{k}{{stroke:{colour[k]}}}.dot.{k},text.{k}{{fill:{colour[k]}}}" for k in (*BADGES, "plain")]
    said = "; ".join(dict.fromkeys(f"{r['slug']}: {r['verdict']['word']} at {r['budget']['name']} scale" for r, _ in marks))
    head = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {h}" width="800" height="{h}" role="img"><title>{t}</title>'
    ).format(h=bottom + 46, t=f"Effects in units of the smallest difference that matters. {said}")
    return str(head) + f"<style>{''.join(style)}</style>" + "".join(c.parts) + "</svg>\n"


def block(studies: Sequence[Sequence[Mapping[str, Any]]], results: Path) -> str:
    """Put the picture and the table together, or say that there is nothing yet."""
    if not studies:
        return "No study has a committed result yet."
    said = (
        "Primary effects with 95 % and 90 % intervals, in units of the smallest difference that matters; the table below gives the numbers"
    )
    shown = (
        '<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="docs/figures/verdicts-dark.svg">\n'
        f'  <img src="docs/figures/verdicts-light.svg" alt="{said}" width="800">\n</picture>'
    )
    return f"{shown}\n\n{table(studies, results)}"


def speed(results: Path) -> str:
    """Lay the benchmarks out as Markdown tables, what is saved of them."""
    parts: list[str] = []
    for name, make in (
        ("cells", _cells),
        ("speech", _speech),
        ("events", _events),
        ("compiling", _compiling),
        ("runner", _runner),
        ("strategies", _strategies),
    ):
        if (results / f"{name}.json").exists():
            saved = read_json(results / f"{name}.json")
            versions = ", ".join(f"{package} {found}" for package, found in saved["machine"]["versions"].items())
            parts += [*make(saved), "", f"{saved['machine']['processor']}, {saved['machine']['threads']} threads; {versions}.", ""]
    return "\n".join(parts).rstrip() or "No benchmark has been saved yet."


def _cells(saved: Mapping[str, Any]) -> list[str]:
    lines = [
        f"**One layer**, [T, B, N] = {list(saved['shape'])}, float32, forwards and backwards, medians of {saved['repeats']} interleaved turns.",
        "",
    ]
    lines += ["| Cell | | Milliseconds | The kernel is so many times faster | Times the traffic floor |", "|---|---|--:|--:|--:|"]
    for cell, seconds in saved["seconds"].items():
        floor, kernel = seconds["traffic floor"], seconds["neuropil, kernel"]
        lines += [f"| {cell} | {_cell(name)} | {1e3 * s:.1f} | {s / kernel:.1f} | {s / floor:.1f} |" for name, s in seconds.items()]
    return lines


def _speech(saved: Mapping[str, Any]) -> list[str]:
    lines = [
        f"**One training step** of a 700-256-256-20 network, T = 100, B = 128, on {saved['data']}; medians of {saved['repeats']} interleaved turns.",
        "",
    ]
    lines += ["| | Milliseconds | neuropil is so many times faster | Peak memory, MB | times neuropil's |", "|---|--:|--:|--:|--:|"]
    seconds, megabytes = saved["seconds"], saved["megabytes"]
    return lines + [
        f"| {_cell(name)} | {1e3 * s:.0f} | {s / seconds['neuropil']:.1f} | {megabytes[name]:.0f} | {megabytes[name] / megabytes['neuropil']:.1f} |"
        for name, s in seconds.items()
    ]


def _events(saved: Mapping[str, Any]) -> list[str]:
    rows, size, out_size = saved["shape"]
    lines = [
        f"**Products with spikes**, {rows} rows, {size} -> {out_size} neurons, forwards and backwards: how many times faster `EventDense` is than `Dense`; "
        f"medians of {saved['repeats']} interleaved turns.",
        "",
        "| Inputs that are not 0 | First layer (no gradient of the input) | Hidden layer |",
        "|--:|--:|--:|",
    ]
    ratio = {
        layer: {share: each["Dense"] / each["EventDense"] for share, each in shares.items()} for layer, shares in saved["seconds"].items()
    }
    return lines + [f"| {float(share):.0%} | {ratio['first'][share]:.1f} | {ratio['hidden'][share]:.1f} |" for share in ratio["first"]]


def _compiling(saved: Mapping[str, Any]) -> list[str]:
    lines = [f"**Making the kernels of one cell**, forwards and backwards, medians of {saved['repeats']} processes.", ""]
    lines += ["| Cell | With an empty cache, s | From the disk, s |", "|---|--:|--:|"]
    return lines + [f"| {cell} | {each['cold']:.1f} | {each['warm']:.2f} |" for cell, each in saved["seconds"].items()]


def _runner(saved: Mapping[str, Any]) -> list[str]:
    lines = [
        f"**What the runner costs**: a sweep of {saved['cells']} cells of a trial that does nothing, from laying out to the finished table; medians of {saved['repeats']} turns. Starting is mostly Python importing what the study imports.",
        "",
    ]
    lines += ["| The study imports | Workers | Milliseconds a cell | Seconds to start |", "|---|--:|--:|--:|"]
    return lines + [
        f"| {kind} | {jobs} | {1e3 * each['cell']:.1f} | {each['start']:.1f} |"
        for kind, by_jobs in saved["seconds"].items()
        for jobs, each in by_jobs.items()
    ]


def _strategies(saved: Mapping[str, Any]) -> list[str]:
    seconds, sizes = saved["seconds"], "-".join(map(str, saved["sizes"]))
    lines = [
        f"**A step of a continual-learning strategy**, {sizes}, batches of {saved['batch']} and as many stored examples, choosing batches included; processor time, medians of {saved['repeats']} interleaved turns. "
        "Arithmetic counts the network's products; penalties and projections of all weights come on top.",
        "",
    ]
    lines += [
        "| | Milliseconds | Steps of plain training | By arithmetic | Avalanche's step takes so many of it |",
        "|---|--:|--:|--:|--:|",
    ]
    for kind, share in saved["arithmetic"].items():
        own, plain, peer = (seconds.get(name) for name in (f"neuropil, {kind}", "neuropil, plain training", f"Avalanche, {kind}"))
        lines.append(f"| {kind} | {1e3 * own:.2f} | {own / plain:.2f} | {share:.2f} | {f'{peer / own:.1f}' if peer else ''} |")
    return lines


def expected(root: Path) -> dict[Path, str | None]:
    """Give what every generated file should hold; ``None`` for one that should not be there. Raises ``AtlasError`` without the markers."""
    studies = committed(root / "results")
    example = (root / "docs" / "examples" / "sparse_expansion.py").read_text(encoding="utf-8")
    files: dict[Path, str | None] = {
        root / "README.md": _between(root / "README.md", "verdicts", block(studies, root / "results")),
        root / "CONTRIBUTING.md": _between(root / "CONTRIBUTING.md", "example", f"```python\n{example}```"),
        root / "docs" / "speed.md": _between(root / "docs" / "speed.md", "measured", speed(root / "benchmarks" / "results")),
    }
    for theme in THEMES:
        files[root / "docs" / "figures" / f"verdicts-{theme}.svg"] = picture(studies, theme) if studies else None
    return files


def _between(file: Path, name: str, text: str) -> str:
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    before, found, rest = (file.read_text(encoding="utf-8") if file.exists() else "").partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise AtlasError(f"{file} lacks the markers {start} and {end}; add both, each on a line of its own, where the text should stand.")
    return f"{before}{start}\n{text}\n{end}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with ``--check`` exit 1 and say which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is out of date")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to work on")
    given = parser.parse_args(arguments)
    try:
        files = expected(given.root)
    except AtlasError as error:
        print(error, file=sys.stderr)
        return 1
    stale = [path for path, text in files.items() if (path.read_text(encoding="utf-8") if path.exists() else None) != text]
    if given.check:
        if stale:
            print(
                f"Out of date: {', '.join(str(p.relative_to(given.root)) for p in stale)}; run `python docs/generate.py` and commit.",
                file=sys.stderr,
            )
        return int(bool(stale))
    for path in stale:
        text = files[path]
        if text is None:
            path.unlink()
        else:
            write_text(path, text)
    return 0


def _verdict(result: Mapping[str, Any]) -> str:
    said = f"**{result['verdict']['word']}** at {result['budget']['name']} scale"
    reasons = ", ".join(dict.fromkeys(reason.partition(":")[0] for reason in result["verdict"]["withheld"]))
    return f"{said} (no verdict: {reasons})" if reasons else said


def _deciding(result: Mapping[str, Any]) -> Mapping[str, Any]:
    contrast: Mapping[str, Any] = result["contrasts"][result["verdict"]["decided_by"]]
    return contrast


def _plain(markup: Markup) -> str:
    return markup.striptags()


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length].rsplit(" ", 1)[0].rstrip(",;:") + " \u2026"


def _cell(text: str) -> str:
    for sign, written in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "\\|"),
        ("[", "\\["),
        ("]", "\\]"),
        ("*", "\\*"),
        ("\n", " "),
    ):
        text = text.replace(sign, written)
    return text


if __name__ == "__main__":
    sys.exit(main())
