"""Commands that conduct a study: run, tune, register, refresh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuropil.atlas.errors import AtlasError
from neuropil.cli.boards import standing
from neuropil.cli.common import (
    CORES,
    Budget,
    Jobs,
    On,
    Slug,
    app,
    err,
    escaped,
    load_digests,
    mendable,
    out,
    placed,
    read_seeds,
    say,
    tell_moved,
)

if TYPE_CHECKING:
    from neuropil.atlas.conduct.loading import Source

NO_VERDICT = 3
"""The exit code of a reporting run that finished and whose verdict was withheld (dose, gate, lesion, match, power)."""


@app.command()
def run(
    slug: Slug,
    budget: Budget = "desk",
    seeds: Annotated[
        str | None, typer.Option(help="Explore with these seeds, as 0:10 or 3,5,8; no verdict. Default: the registered ones.")
    ] = None,
    arms: Annotated[str | None, typer.Option(help="Explore with these arms only, as a,b.")] = None,
    settings_by_hand: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Explore with another setting, as budget.epochs=5, arm.ARM.lr=0.01, arms.lr=0.01.", metavar="NAME=VALUE"
        ),
    ] = None,
    jobs: Jobs = CORES,
    on: On = "local",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file.", metavar="FILE", dir_okay=False)] = None,
) -> None:
    """Run a study. Finished cells are never run again; Ctrl-C loses nothing."""
    from neuropil.atlas.conduct.exploring import explore
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
    if settings_by_hand:
        if seeds is None and budget not in ("smoke", "glance"):
            raise AtlasError(
                f"--set {settings_by_hand[0]} is for exploring, and a reporting run takes what was registered; give --seeds 0:10 beside it, or --budget glance."
            )
        study = explore(source, study, budget, settings_by_hand)
    if json_file is not None and not json_file.parent.is_dir():
        raise AtlasError(f"--json names {json_file}, and the folder {json_file.parent} does not exist; make it first.")
    store = Store()
    with placed(on, jobs) as executor, progress(err, f"{study.slug} {budget}") as watch:
        result = run_study(
            source,
            study,
            budget,
            digests=load_digests(study, budget, "smoke"),
            store=store,
            seeds=read_seeds(seeds),
            arms=chosen,
            on=executor,
            watch=watch,
        )
    tell_moved(store)
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
def tune(slug: Slug, budget: Budget = "desk", jobs: Jobs = CORES, on: On = "local") -> None:
    """Tune every arm on one grid (seeds 1000 and above), and measure the spread that the number of seeds follows from."""
    from neuropil.atlas.conduct.loading import find
    from neuropil.atlas.conduct.registration import power_of
    from neuropil.atlas.conduct.result import fingerprint
    from neuropil.atlas.conduct.run import core_minutes, smoke
    from neuropil.atlas.conduct.store import Store
    from neuropil.atlas.conduct.tuning import overruled
    from neuropil.atlas.conduct.tuning import tune as tune_study
    from neuropil.atlas.terminal import progress

    source = find(slug)
    study = source.load()
    digests, store = load_digests(study, budget, "smoke"), Store()
    with placed(on, jobs) as executor, progress(err, f"{study.slug} tuning") as watch:
        print_of_code = fingerprint(study, smoke(source, study, digests=digests, store=store))
        record = tune_study(source, study, budget, digests=digests, fingerprint=print_of_code, store=store, on=executor, watch=watch)
    tell_moved(store)
    for arm, point in record["chosen"].items():
        out.print(f"{arm}: " + ", ".join(f"{name} {value:g}" for name, value in point.items()))
    for lost in overruled(study, record["chosen"]):
        out.print(f"[yellow]overruled[/yellow] {escaped(lost)}: what must stay needs a name that is not searched")
    n, power = power_of(study, record, budget)
    for spread in power["contrasts"]:
        out.print(f"{spread['contrast']}: spread {spread['spread']:.4g}, {spread['n']} seeds for {spread['power']:.0%} power")
    out.print(f"A run of {n} seeds: about {core_minutes(study, record, budget, n):.1f} core-minutes, if every arm costs what these did.")
    for edge in record["edges"]:
        out.print(f"[red]optimum at the grid's edge[/red] {escaped(edge)}: widen the grid, tune again")
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
    digests = load_digests(study, budget, "smoke")
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
def refresh(
    slugs: Annotated[list[str] | None, typer.Argument(help="Slugs; all of neuropil's own studies by default.", metavar="[SLUG...]")] = None,
    jobs: Jobs = CORES,
    on: On = "local",
    dry: Annotated[
        bool,
        typer.Option("--dry", help="Only say what would be carried or run; smoke cells are run, and nothing is written but to the cache."),
    ] = False,
) -> None:
    """Carry results whose code changed without moving a number, run what is registered and pending (cheapest first), name what is stale.

    Changed code is tried on one smoke cell an arm; these, too, run where --on says. A study that cannot be examined is named, and the others go on.
    Without slugs it names what boards would run, too; those are run by `neuropil board NAME --run`.
    """
    from neuropil.atlas.catalogue import own_rows, study_path
    from neuropil.atlas.conduct.loading import Source, find
    from neuropil.atlas.conduct.refresh import refresh as refresh_one
    from neuropil.atlas.conduct.store import Store

    sources = [find(slug) for slug in slugs] if slugs else [Source(row.slug, file) for row in own_rows() if (file := study_path(row.slug))]
    store = Store()
    found, codes = [], set()
    with placed(on, jobs) as executor:
        for source in sources:
            try:
                found.append(refresh_one(source, digests=lambda s: load_digests(s.load(), "smoke"), store=store, on=executor, dry=dry))
            except Exception as error:
                if not mendable(error):
                    raise
                say(f"{source.slug} was not examined: {error}")
                codes.add(1)
    found.sort(key=lambda each: each.seconds)
    for each in found:
        out.print(f"{each.source.slug}: {each.state} ({escaped(each.said)})", soft_wrap=True)
    for board, task, _, _, old in standing() if slugs is None else ():
        if old:
            name, why = next(iter(old.items()))
            out.print(
                f"board {board}, {task}: {len(old)} to run or carry ({name}: {why}); `neuropil board {board} --run` does both",
                soft_wrap=True,
            )
    codes |= {1 if each.state == "stale" else 0 for each in found}
    for each in found:
        if each.state == "pending" and not dry:
            out.rule(each.source.slug, align="left")
            codes.add(_run_pending(each.source, jobs, on))
    if code := 1 if 1 in codes else max(codes, default=0):
        raise typer.Exit(code)


def _run_pending(source: Source, jobs: int, on: str) -> int:
    """Run a registered study and give its exit code; what goes wrong is said, and the next one has its turn."""
    from neuropil.atlas.conduct.registration import read

    try:
        run(source.reference, budget=read(source.folder).budget, jobs=jobs, on=on)
    except typer.Exit as withheld:
        return withheld.exit_code
    except Exception as error:
        if not mendable(error):
            raise
        say(f"{source.slug}: {error}")
        return 1
    return 0
