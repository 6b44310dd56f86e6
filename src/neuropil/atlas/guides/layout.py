"""A guide for the terminal: the list of them, and one of them to read, on narrow and wide terminals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from neuropil.atlas.catalogue import Row
from neuropil.atlas.guides.form import READ, Guide
from neuropil.atlas.guides.standing import Records, counted, paper, standing
from neuropil.atlas.terminal import STYLES

_MEASURE = 96


def guides_table(found: Sequence[tuple[Guide, Row]], width: int) -> Grid:
    """Lay out the list of guides, fewer columns where the terminal is narrow."""
    wide, narrow = width >= 100, width < 60
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, expand=wide)
    grid.add_column("guide", overflow="fold")
    for column in ("open",) if narrow else ("entries", "with parts", "with studies", "open"):
        grid.add_column(column, justify="right", no_wrap=True)
    if not narrow:
        grid.add_column("read")
    if wide:
        grid.add_column("title", no_wrap=True, overflow="ellipsis", ratio=1)
    for guide, row in found:
        c = guide.coverage
        counts = (f"{c.open} of {c.entries}",) if narrow else (c.entries, c.parts, c.studies, c.open)
        cells = [guide.slug, *map(str, counts), *([] if narrow else [guide.read]), *([row.title] if wide else [])]
        grid.add_row(*cells)
    return grid


def pages(guide: Guide, row: Row, records: Records, width: int) -> Iterator[RenderableType]:
    """Lay out one guide, block by block: argument, order, the map, predictions, disputes, coverage."""
    measure = min(width, _MEASURE)

    def block(text: Text | str, left: int = 0) -> Padding:
        return Padding(Text.assemble(text), (0, max(0, width - measure), 0, left))

    yield block(Text(row.title, style="bold"))
    yield block(f"{row.by} · {row.family} · a reading guide, in our words")
    yield block(Text(f"Written from {READ[guide.read]}: {guide.source}.", style="dim"))
    yield block(Text("What a catalogued paper claims is its claim; only a verdict was found here.", style="dim"))
    yield block(f"\n{guide.argues}")
    yield _heading("In which order to read")
    for number, step in enumerate(guide.order, 1):
        yield _hanging(f"{number}", Text(step), measure)
    for section in guide.sections:
        yield _heading(section.title)
        for entry in section.entries:
            where = (f"  {entry.where}", "dim") if entry.where else ""
            yield block(Text.assemble((entry.name, "bold"), where))
            yield block(entry.says, 2)
            yield from _links(entry.parts, entry.studies, records, measure)
            if entry.open:
                yield _hanging("  open", Text(entry.open, style="yellow"), measure, 8)
            yield ""
    yield _heading("What it predicts, and what would test it", gap="")
    for prediction in guide.predictions:
        yield block(Text(prediction.says, style="bold"))
        yield _hanging("  test", Text(prediction.contrast), measure, 8)
        yield from _links(prediction.parts, prediction.studies, records, measure)
        yield ""
    yield _heading("Where evidence disagrees", gap="")
    for dispute in guide.disputes:
        yield block(dispute.says)
        yield from _links((), dispute.studies, records, measure)
        if dispute.cites:
            papers = "\n".join(f"{p.by}, {p.title} ({p.key})" for p in map(paper, dispute.cites))
            yield _hanging("  paper", Text(papers, style="cyan"), measure, 8)
        yield ""
    yield block(Text(f"{counted(guide.coverage)}.", style="dim"))


def _heading(title: str, gap: str = "\n") -> Text:
    return Text(f"{gap}{title}\n", style="bold underline")


def _links(parts: Sequence[str], studies: Sequence[str], records: Records, measure: int) -> Iterator[Grid]:
    if parts:
        yield _hanging("  part" if len(parts) == 1 else "  parts", Text("\n".join(parts), style="cyan"), measure, 8)
    if studies:
        lines = []
        for slug in studies:
            word = standing(records(slug))
            lines.append(Text.assemble((slug, "cyan"), "  ", (word, STYLES.get(word.split()[0], "dim"))))
        yield _hanging("  study" if len(studies) == 1 else "  studies", Text("\n").join(lines), measure, 8)


def _hanging(label: str, text: Text, measure: int, indent: int = 2) -> Grid:
    """A label and a text that hangs from it, ``indent`` columns in."""
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=max(indent, len(label)), no_wrap=True, style="dim")
    grid.add_column(width=max(10, measure - max(indent, len(label)) - 4), overflow="fold")
    grid.add_row(label, text)
    return grid
