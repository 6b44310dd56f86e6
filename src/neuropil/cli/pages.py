"""Commands that write pages: a study's report, the tour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from neuropil.atlas.errors import AtlasError
from neuropil.cli.common import CORES, Jobs, On, Slug, app, err, load_digests, out, placed, row_of, say


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
    from neuropil.atlas.index import result_paths
    from neuropil.atlas.pages.report import write
    from neuropil.atlas.pages.study import study_page

    source = find(slug)
    paths = [from_json] if from_json else result_paths(source.folder)
    if not paths:
        raise AtlasError(
            f"{slug} has no committed result; run it with `neuropil run {slug} --budget glance --json FILE`, then `neuropil report {slug} --from FILE`."
        )
    target = out_file or Path("reports") / f"{source.slug}.html"
    page = study_page(source, paths[-1], row=row_of(source.slug), code=source.code)
    write(target, page.html)
    out.print(f"{target.resolve()}", soft_wrap=True)
    _tell_undrawn({source.slug: page.undrawn} if page.undrawn else {})


@app.command()
def tour(
    out_file: Annotated[Path, typer.Option("--out", help="Where to write the page.", metavar="FILE.html", dir_okay=False)] = Path(
        "reports/tour.html"
    ),
    jobs: Jobs = CORES,
    on: On = "local",
    most: Annotated[int, typer.Option(min=1, help="How many studies at most.")] = 8,
) -> None:
    """Run the glance of up to eight studies on data that installed packages carry, and write a page about them."""
    from neuropil.atlas.catalogue import own_rows, study_path
    from neuropil.atlas.conduct.loading import Source
    from neuropil.atlas.conduct.run import run as run_study
    from neuropil.atlas.conduct.store import Store
    from neuropil.atlas.index import latest_result
    from neuropil.atlas.pages.report import render_tour, write
    from neuropil.atlas.terminal import progress, summary
    from neuropil.data import packaged

    sources = [Source(row.slug, file) for row in own_rows() if (file := study_path(row.slug))]
    studies = [(source, source.load()) for source in sources]
    chosen = [(source, study) for source, study in studies if all(packaged(name) for name in study.data.get("glance", ()))][:most]
    if not chosen:
        raise AtlasError("No implemented study has data in the installed packages; install some with `pip install 'neuropil[atlas]'`.")
    out.print(f"A glance at {len(chosen)} studies: mechanism and control, three seeds, no verdict. The first takes a moment to start.")
    store, shown = Store(), []
    with placed(on, jobs) as executor:
        for position, (source, study) in enumerate(chosen, 1):
            with progress(err, f"{position} of {len(chosen)} · {source.slug}") as watch:
                result = run_study(source, study, "glance", digests=load_digests(study, "glance"), store=store, on=executor, watch=watch)
            out.rule(f"{source.slug}", align="left")
            for block in summary(result):
                out.print(block)
            shown.append((result, study, row_of(source.slug), latest_result(source.folder)))
    write(out_file, render_tour(shown))
    out.print(f"The page: {out_file.resolve()}", soft_wrap=True)


@app.command()
def site(
    out_folder: Annotated[
        Path, typer.Option("--out", help="The folder to write it into: a new one, or that of an earlier site.", metavar="DIR")
    ],
    jobs: Jobs = CORES,
) -> None:
    """Build the atlas as a static site: all papers with search and filters, studies, boards, guides; open its index.html, no server needed."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from neuropil.atlas.pages.site import build

    columns = (TextColumn("studies"), BarColumn(bar_width=None), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None)
        built = build(out_folder, jobs=jobs, watch=lambda done, total: bar.update(task, completed=done, total=total))
    gone = f", {built.removed} old ones removed" if built.removed else ""
    out.print(f"{built.pages} pages, {built.written} of them written{gone}.")
    out.print(f"{built.index.resolve()}", soft_wrap=True)
    _tell_undrawn(built.undrawn)


def _tell_undrawn(undrawn: Mapping[str, Sequence[str]]) -> None:
    """Say which figures failed, by slug, and end with exit code 1; nothing where none did."""
    if undrawn:
        failed = "; ".join(f"{slug}: {', '.join(figures)}" for slug, figures in undrawn.items())
        say(f"All pages are written, but for these figures, which could not be drawn, as their pages say: {failed}.")
        raise typer.Exit(1)
