"""The command line: find papers, run their studies, read verdicts. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from neuropil.atlas.errors import AtlasError, InterruptionError

if TYPE_CHECKING:
    from neuropil.atlas.conduct.loading import Source
    from neuropil.atlas.study import Study

NO_VERDICT = 3
"""The exit code of a reporting run that finished and whose verdict was withheld (dose, gate, lesion, match, power)."""

app = typer.Typer(
    name="neuropil",
    help="Mechanisms from the brain as tested PyTorch parts, and honest small-scale tests of what they do.\n\n"
    'Begin with `neuropil tour` (five minutes), `neuropil search "catastrophic forgetting"` or `neuropil show homeostatic-nets`.',
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Slug = Annotated[str, typer.Argument(help="A slug of `neuropil list`, or the path of your own study file (.py).", metavar="SLUG|FILE.py")]
Row = Annotated[str, typer.Argument(help="A slug of `neuropil list`.", metavar="SLUG")]
Budget = Annotated[
    str, typer.Option(help="smoke (seconds), glance (two minutes, no verdict), desk (the verdict) or full (the paper's scale).")
]
Jobs = Annotated[int, typer.Option(min=1, help="Worker processes, one torch thread each.")]
MOST_SEEDS = 10_000
CORES = min(os.cpu_count() or 1, 8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors that a user can mend are one sentence and exit code 1, Ctrl-C is 130."""
    try:
        app(args=arguments)
    except AtlasError as error:
        _say(str(error))
        sys.exit(130 if isinstance(error, InterruptionError) else 1)
    except ModuleNotFoundError as error:
        _say(f"This needs {error.name}, which is not installed; `pip install 'neuropil[atlas]'` brings it.")
        sys.exit(1)
    except Exception as error:
        if type(error).__name__ != "DataError":
            raise
        _say(str(error))
        sys.exit(1)


@app.command("list")
def list_rows(
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    tier: Annotated[str | None, typer.Option(help="Only this tier: core, field, edge or guide.")] = None,
    status: Annotated[str | None, typer.Option(help="implemented or catalogued.")] = None,
    verdict: Annotated[str | None, typer.Option(help="Only rows with this verdict.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one record a row.")] = False,
) -> None:
    """List the papers of the atlas: what is implemented, its verdict at desk scale, and what is catalogued only."""
    from neuropil.atlas.catalogue import FAMILIES, TIERS
    from neuropil.atlas.index import VERDICTS, index
    from neuropil.atlas.terminal import rows_table

    allowed: dict[str, tuple[str | None, Sequence[str]]] = {
        "family": (family, FAMILIES),
        "tier": (tier, TIERS),
        "status": (status, ("implemented", "catalogued")),
        "verdict": (verdict, VERDICTS),
    }
    records = index()
    for name, (value, accepted) in allowed.items():
        if value is None:
            continue
        if value not in accepted:
            raise AtlasError(f"--{name} {value!r} is not known; accepted are {', '.join(accepted)}.")
        records = [record for record in records if record[name] == value]
    if as_json:
        print(json.dumps(records, indent=1, ensure_ascii=False))
        return
    out.print(rows_table(records, out.width))
    implemented = sum(record["status"] == "implemented" for record in records)
    out.print(
        f"{len(records)} rows: {implemented} implemented, {len(records) - implemented} catalogued (not results). `neuropil show SLUG` tells more."
    )


@app.command()
def search(
    query: Annotated[list[str], typer.Argument(help="Words or a question: a mechanism, a problem, a brain area.")],
    most: Annotated[int, typer.Option("--most", "-k", min=1, help="How many at most.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Search the atlas by word and by meaning (mechanism, problem, brain area)."""
    from rich.table import Table as Grid

    from neuropil.atlas.catalogue.search import search as find

    text = " ".join(query)
    hits = find(text, most)
    if as_json:
        print(
            json.dumps(
                [{"slug": h.row.slug, "title": h.row.title, "score": h.score, "why": h.why} for h in hits], indent=1, ensure_ascii=False
            )
        )
        return
    if not hits:
        raise AtlasError(f"Nothing in the atlas is about {text!r}; try other words, or `neuropil list --family NAME`.")
    grid = Grid(box=None, pad_edge=False, show_header=False)
    for hit in hits:
        grid.add_row(f"[bold]{hit.row.slug}[/bold]", f"{_escaped(hit.row.title)} ({hit.row.year})\n[dim]{_escaped(hit.why)}[/dim]")
    out.print(grid)


@app.command()
def show(slug: Row, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show one paper: its claim, what is known of it here, and what to do next."""
    from dataclasses import asdict

    from neuropil.atlas.catalogue import row as find_row
    from neuropil.atlas.index import record as find_record
    from neuropil.atlas.terminal import STYLES, interval

    row, record = find_row(slug), find_record(find_row(slug))
    if as_json:
        print(json.dumps(asdict(row) | record, indent=1, ensure_ascii=False))
        return
    out.print(f"[bold]{_escaped(row.title)}[/bold]")
    out.print(f"{_escaped(', '.join(row.authors)) or 'authors not recorded'}, {row.year} · {row.family} · {row.tier} · {row.kind}")
    out.print(f"\n{_escaped(row.claim)}\n")
    if row.tags:
        out.print(f"[dim]{_escaped(', '.join(row.tags))}[/dim]")
    if record["status"] == "catalogued":
        out.print(f"\nCatalogued only: nothing was run, no result. Cite it with `neuropil cite {slug}`.")
    elif record["verdict"] is None:
        out.print(f"\nImplemented ({record['fidelity']}), no verdict yet. Look: `neuropil run {slug} --budget glance`.")
    else:
        word = record["verdict"]
        stale = " · stale: the code has changed since, `neuropil refresh`" if record["stale"] else ""
        out.print(
            f"\n[{STYLES[word]}]{word}[/] at desk scale: {record['effect']:+.4g} {record['units']} {_escaped(interval(record['interval']))}, delta {record['delta']:g}, n {record['n']}, look{'s' if record['looks'] > 1 else ''} {record['looks']}, fidelity {record['fidelity']}{stale}"
        )
        out.print(f"Read it: `neuropil report {slug}` · see for yourself: `neuropil run {slug} --budget glance`")


@app.command()
def cite(slugs: Annotated[list[str], typer.Argument(help="Slugs of `neuropil list`.", metavar="SLUG...")]) -> None:
    """Print the BibTeX of one or more papers."""
    from neuropil.atlas.catalogue import cite as entry

    print("\n\n".join(entry(slug) for slug in slugs))


@app.command()
def run(
    slug: Slug,
    budget: Budget = "desk",
    seeds: Annotated[
        str | None, typer.Option(help="Explore with these seeds, as 0:10 or 3,5,8; no verdict. Default: the registered ones.")
    ] = None,
    arms: Annotated[str | None, typer.Option(help="Explore with these arms only, as a,b.")] = None,
    jobs: Jobs = CORES,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file.", metavar="FILE", dir_okay=False)] = None,
) -> None:
    """Run a study. Finished cells are never run again; Ctrl-C loses nothing."""
    from neuropil.atlas.conduct.loading import budget_settings, find, settings
    from neuropil.atlas.conduct.run import run as run_study
    from neuropil.atlas.conduct.store import Store
    from neuropil.atlas.files import write_json
    from neuropil.atlas.terminal import progress, summary

    source = find(slug)
    study = source.load()
    budget_settings(study, budget)
    chosen = None if arms is None else [arm.strip() for arm in arms.split(",")]
    for arm in chosen or ():
        settings(study, arm, {})
    if json_file is not None and not json_file.parent.is_dir():
        raise AtlasError(f"--json names {json_file}, and the folder {json_file.parent} does not exist; make it first.")
    store = Store()
    with progress(err, f"{study.slug} {budget}") as watch:
        result = run_study(
            source,
            study,
            budget,
            digests=_digests(study, budget, "smoke"),
            store=store,
            seeds=_seeds(seeds),
            arms=chosen,
            jobs=jobs,
            watch=watch,
        )
    _tell_moved(store)
    for block in summary(result):
        out.print(block)
    if json_file is not None:
        write_json(json_file, result)
    if result["verdict"] is None:
        out.print("[dim]A verdict comes from a registered run only: `neuropil register --help`.[/dim]")
    else:
        out.print(f"Written to {source.folder}; read it with `neuropil report {source.reference}`, and commit it.")
        if result["verdict"]["withheld"]:
            raise typer.Exit(NO_VERDICT)


@app.command()
def tune(slug: Slug, budget: Budget = "desk", jobs: Jobs = CORES) -> None:
    """Tune every arm on one grid (seeds 1000 and above), and measure the spread that the number of seeds follows from."""
    from neuropil.atlas.conduct.loading import find
    from neuropil.atlas.conduct.registration import power_of
    from neuropil.atlas.conduct.result import fingerprint
    from neuropil.atlas.conduct.run import smoke
    from neuropil.atlas.conduct.store import Store
    from neuropil.atlas.conduct.tuning import tune as tune_study
    from neuropil.atlas.terminal import progress

    source = find(slug)
    study = source.load()
    digests, store = _digests(study, budget, "smoke"), Store()
    with progress(err, f"{study.slug} tuning") as watch:
        print_of_code = fingerprint(study, smoke(source, study, digests=digests, store=store))
        record = tune_study(source, study, budget, digests=digests, fingerprint=print_of_code, store=store, jobs=jobs, watch=watch)
    _tell_moved(store)
    for arm, point in record["chosen"].items():
        out.print(f"{arm}: " + ", ".join(f"{name} {value:g}" for name, value in point.items()))
    for spread in power_of(study, record, budget)[1]["contrasts"]:
        out.print(f"{spread['contrast']}: spread {spread['spread']:.4g}, {spread['n']} seeds for {spread['power']:.0%} power")
    for edge in record["edges"]:
        out.print(f"[red]optimum at the grid's edge[/red] {_escaped(edge)}: widen the grid, tune again")
    out.print(f"Written to {source.folder / 'tuning.json'}. Next: `neuropil register {slug} --budget {budget}`.")
    if record["edges"]:
        raise typer.Exit(1)


@app.command()
def register(
    slug: Slug,
    budget: Budget = "desk",
    amend: Annotated[
        str, typer.Option(help="Why the study changes after a look; gives it a new block of seeds, both results stay.", metavar="REASON")
    ] = "",
) -> None:
    """Freeze contrasts, delta, n, arms, budget, tuning and data; the reporting seeds follow from the hash. Commit before you run."""
    from neuropil.atlas.conduct.checks import audit
    from neuropil.atlas.conduct.loading import budget_settings, find
    from neuropil.atlas.conduct.registration import path_of
    from neuropil.atlas.conduct.registration import register as register_study
    from neuropil.atlas.conduct.result import fingerprint
    from neuropil.atlas.conduct.run import smoke
    from neuropil.atlas.conduct.store import Store

    source = find(slug)
    study = source.load()
    budget_settings(study, budget)
    digests = _digests(study, budget, "smoke")
    smoked = smoke(source, study, digests=digests, store=Store())
    off = next(check for check in audit(study, smoked, smoked, "smoke") if check.name == "off")
    made = register_study(
        source, study, budget, digests=digests, fingerprint=fingerprint(study, smoked), off_passed=bool(off.passed), amend=amend
    )
    out.print(
        f"Registration {made.number} of {study.slug}: {len(made.seeds)} seeds, power {made.power['reached']:.0%} at delta, hash {made.hash[:12]}."
    )
    if made.descriptive:
        out.print("Under 80 % power at the cap of seeds: this study will be *descriptive*, figures and no verdict.")
    path = path_of(source.folder, made.number)
    out.print(f"Now commit {path.parent} (git add, git commit), then `neuropil run {slug} --budget {budget}`.")


@app.command()
def report(
    slug: Slug,
    out_file: Annotated[Path | None, typer.Option("--out", help="Where to write the page.", metavar="FILE.html", dir_okay=False)] = None,
    from_json: Annotated[
        Path | None, typer.Option("--from", help="A result written by `run --json` instead of the committed one.", metavar="FILE")
    ] = None,
) -> None:
    """Write a study's page: one HTML file that needs no network."""
    from neuropil.atlas.conduct.loading import find
    from neuropil.atlas.files import read_json
    from neuropil.atlas.index import latest_result
    from neuropil.atlas.pages.report import write

    source = find(slug)
    result = read_json(from_json) if from_json else latest_result(source.folder)
    if result is None:
        raise AtlasError(
            f"{slug} has no committed result; run it with `neuropil run {slug} --budget glance --json FILE`, then `neuropil report {slug} --from FILE`."
        )
    target = out_file or Path("reports") / f"{source.slug}.html"
    write(target, _page(source, source.load(), result))
    out.print(f"{target.resolve()}", soft_wrap=True)


@app.command()
def tour(
    out_file: Annotated[Path, typer.Option("--out", help="Where to write the page.", metavar="FILE.html", dir_okay=False)] = Path(
        "reports/tour.html"
    ),
    jobs: Jobs = CORES,
    most: Annotated[int, typer.Option(min=1, help="How many studies at most.")] = 8,
) -> None:
    """Run the glance of up to eight studies on data that installed packages carry, and write a page about them."""
    from neuropil.atlas.catalogue import rows, study_path
    from neuropil.atlas.conduct.loading import Source
    from neuropil.atlas.conduct.run import run as run_study
    from neuropil.atlas.conduct.store import Store
    from neuropil.atlas.index import latest_result
    from neuropil.atlas.pages.report import render_tour, write
    from neuropil.atlas.terminal import progress, summary
    from neuropil.data import packaged

    sources = [Source(row.slug, file) for row in rows() if (file := study_path(row.slug))]
    studies = [(source, source.load()) for source in sources]
    chosen = [(source, study) for source, study in studies if all(packaged(name) for name in study.data.get("glance", ()))][:most]
    if not chosen:
        raise AtlasError("No implemented study has data in the installed packages; install some with `pip install 'neuropil[atlas]'`.")
    out.print(f"A glance at {len(chosen)} studies: mechanism and control, three seeds, no verdict. The first takes a moment to start.")
    store, shown = Store(), []
    for position, (source, study) in enumerate(chosen, 1):
        with progress(err, f"{position} of {len(chosen)} · {source.slug}") as watch:
            result = run_study(source, study, "glance", digests=_digests(study, "glance"), store=store, jobs=jobs, watch=watch)
        out.rule(f"{source.slug}", align="left")
        for block in summary(result):
            out.print(block)
        shown.append((result, study, _row(source.slug), latest_result(source.folder)))
    write(out_file, render_tour(shown))
    out.print(f"The page: {out_file.resolve()}", soft_wrap=True)


@app.command()
def data(
    name: Annotated[str | None, typer.Argument(help="Load this data set (download if needed) and verify its checksum.")] = None,
) -> None:
    """Show which data sets are here, where they come from, and how to get the others."""
    from rich.table import Table as Grid

    from neuropil.data import load, names, status

    if name is not None:
        found = load(name)
        out.print(_escaped(repr(found)))
        out.print(f"sha256 {found.sha256}")
        return
    grid = Grid(box=None, pad_edge=False)
    for column in ("name", "where", "what", "licence", "how to get it"):
        grid.add_column(column, overflow="fold")
    for each in names():
        s = status(each)
        grid.add_row(s.name, s.where, _escaped(s.about), _escaped(s.licence), "" if s.where != "not here" else _escaped(s.obtain))
    out.print(grid)


@app.command()
def doctor() -> None:
    """Check the installation: versions, extras, places, data; say what is missing and how to mend it."""
    from neuropil.atlas.doctor import examine

    lines, healthy = examine()
    for mark, what, said in lines:
        out.print(
            f"{ {'ok': '[green]ok  [/green]', 'note': '[yellow]note[/yellow]', 'bad': '[red]bad [/red]'}[mark] } {_escaped(what)}: {_escaped(said)}"
        )
    if not healthy:
        raise typer.Exit(1)


@app.command()
def refresh(
    slugs: Annotated[list[str] | None, typer.Argument(help="Slugs; all implemented studies by default.", metavar="[SLUG...]")] = None,
    jobs: Jobs = CORES,
    dry: Annotated[bool, typer.Option("--dry", help="Only say what would be run.")] = False,
) -> None:
    """Carry results whose code changed without moving a number, run what is registered and pending (cheapest first), name what is stale."""
    from neuropil.atlas.catalogue import rows, study_path
    from neuropil.atlas.conduct.loading import Source, find
    from neuropil.atlas.conduct.refresh import refresh as refresh_one
    from neuropil.atlas.conduct.registration import read
    from neuropil.atlas.conduct.store import Store

    sources = [find(slug) for slug in slugs] if slugs else [Source(row.slug, file) for row in rows() if (file := study_path(row.slug))]
    store = Store()
    found = sorted(
        (refresh_one(source, digests=lambda s: _digests(s.load(), "smoke"), store=store) for source in sources),
        key=lambda each: each.seconds,
    )
    for each in found:
        out.print(f"{each.source.slug}: {each.state} ({_escaped(each.said)})", soft_wrap=True)
    for each in found:
        if each.state == "pending" and not dry:
            out.rule(each.source.slug, align="left")
            run(each.source.reference, budget=read(each.source.folder).budget, jobs=jobs, seeds=None, arms=None, json_file=None)
    if any(each.state == "stale" for each in found):
        raise typer.Exit(1)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from neuropil import __version__

        print(__version__)
        raise typer.Exit


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        if ":" in text:
            start, stop = (int(part) for part in text.split(":"))
            found = list(range(start, min(stop, start + MOST_SEEDS + 1)))
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) > MOST_SEEDS:
        raise AtlasError(f"--seeds {text!r} asks for more than {MOST_SEEDS} seeds; explore with fewer, such as 0:10.")
    if not found or len(set(found)) < len(found):
        raise AtlasError(f"--seeds {text!r} names no seeds; write a range as 0:10 (0 to 9) or a list as 3,5,8, each seed once.")
    return found


def _digests(study: Study, *budgets: str) -> Mapping[str, str]:
    """Load (and so verify, download, or refuse) every data set that these budgets use, and give their checksums."""
    from neuropil.data import load

    return {name: load(name).sha256 for name in dict.fromkeys(name for budget in budgets for name in study.data.get(budget, ()))}


def _row(slug: str) -> Any:
    from neuropil.atlas.catalogue import rows

    return next((row for row in rows() if row.slug == slug), None)


def _page(source: Source, study: Study, result: dict[str, Any]) -> str:
    from neuropil.atlas.catalogue import cite as entry
    from neuropil.atlas.conduct.ledger import Ledger
    from neuropil.atlas.files import read_json
    from neuropil.atlas.pages.report import render

    row = _row(source.slug)
    tuning, remarks = source.folder / "tuning.json", source.folder / "remarks.md"
    return render(
        result,
        study=study,
        row=row,
        bibtex=entry(source.slug) if row else "",
        ledger=Ledger(source.folder).entries(),
        tuning=read_json(tuning).get(result["budget"]["name"]) if tuning.exists() else None,
        remarks=" ".join(remarks.read_text(encoding="utf-8").split()) if result["verdict"] and remarks.exists() else "",
    )


def _tell_moved(store: Any) -> None:
    for path in store.moved_aside:
        err.print(f"A corrupt cell was found by its checksum, moved to {path} and run again.", soft_wrap=True)


def _say(sentence: str) -> None:
    err.print(f"[red]neuropil:[/red] {_escaped(sentence)}", soft_wrap=True)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
