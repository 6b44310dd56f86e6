"""Commands that look: at the catalogue, a paper, the data sets, the installation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from neuropil.atlas.errors import AtlasError
from neuropil.cli.common import Row, app, escaped, out, say


@app.command("list")
def list_rows(
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    tier: Annotated[str | None, typer.Option(help="Only this tier: core, field, edge or guide.")] = None,
    status: Annotated[str | None, typer.Option(help="implemented, guide or catalogued.")] = None,
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
        "status": (status, ("implemented", "guide", "catalogued")),
        "verdict": (verdict, VERDICTS),
    }
    records = index()
    for record in records:
        if "problem" in record:
            say(record["problem"])
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
    counts = [sum(record["status"] == status for record in records) for status in ("implemented", "guide", "catalogued")]
    out.print(
        f"{len(records)} rows: {counts[0]} implemented, {counts[1]} with a reading guide, {counts[2]} catalogued (not results). `neuropil show SLUG` tells more."
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
        grid.add_row(f"[bold]{hit.row.slug}[/bold]", f"{escaped(hit.row.title)} ({hit.row.year})\n[dim]{escaped(hit.why)}[/dim]")
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
    out.print(f"[bold]{escaped(row.title)}[/bold]")
    out.print(
        f"{escaped(', '.join(row.authors)) or 'authors not recorded'}, {row.year} · {row.family} · {row.tier} · {row.kind}{f' · from the package {row.package}' if row.package else ''}"
    )
    out.print(f"\n{escaped(row.claim)}\n")
    if row.tags:
        out.print(f"[dim]{escaped(', '.join(row.tags))}[/dim]")
    if record["status"] == "guide":
        out.print(f"\nNothing to run: a reading guide says what it maps and what here stands for it. Read it: `neuropil guide {slug}`.")
    elif record["status"] == "catalogued":
        out.print(f"\nCatalogued only: nothing was run, no result. Cite it with `neuropil cite {slug}`.")
    elif record["verdict"] is None:
        out.print(f"\nImplemented ({record['fidelity']}), no verdict yet. Look: `neuropil run {slug} --budget glance`.")
    else:
        word = record["verdict"]
        standing = " · stale: the code has changed since, `neuropil refresh`" if record["stale"] else ""
        if record["carried"]:
            standing = " · carried: the code has changed since, a small cell of every arm still gives the same numbers"
        out.print(
            f"\n[{STYLES[word]}]{word}[/] at desk scale: {record['effect']:+.4g} {record['units']} {escaped(interval(record['interval']))}, delta {record['delta']:g}, n {record['n']}, look{'s' if record['looks'] > 1 else ''} {record['looks']}, fidelity {record['fidelity']}{standing}"
        )
        out.print(f"Read it: `neuropil report {slug}` · see for yourself: `neuropil run {slug} --budget glance`")


@app.command()
def cite(slugs: Annotated[list[str], typer.Argument(help="Slugs of `neuropil list`.", metavar="SLUG...")]) -> None:
    """Print the BibTeX of one or more papers."""
    from neuropil.atlas.catalogue import cite as entry

    print("\n\n".join(entry(slug) for slug in slugs))


@app.command()
def data(
    name: Annotated[str | None, typer.Argument(help="Load this data set (download if needed) and verify its checksum.")] = None,
) -> None:
    """Show which data sets are here, where they come from, and how to get the others."""
    from rich.table import Table as Grid

    from neuropil.data import load, names, status

    if name is not None:
        found = load(name)
        out.print(escaped(repr(found)))
        out.print(f"sha256 {found.sha256}")
        return
    grid = Grid(box=None, pad_edge=False)
    for column in ("name", "where", "what", "licence", "how to get it"):
        grid.add_column(column, overflow="fold")
    for each in names():
        s = status(each)
        grid.add_row(s.name, s.where, escaped(s.about), escaped(s.licence), "" if s.where != "not here" else escaped(s.obtain))
    out.print(grid)


@app.command()
def doctor() -> None:
    """Check the installation: versions, extras, places, data; say what is missing and how to mend it."""
    from neuropil.atlas.doctor import examine

    lines, healthy = examine()
    for mark, what, said in lines:
        out.print(
            f"{ {'ok': '[green]ok  [/green]', 'note': '[yellow]note[/yellow]', 'bad': '[red]bad [/red]'}[mark] } {escaped(what)}: {escaped(said)}"
        )
    if not healthy:
        raise typer.Exit(1)
