"""What every command shares: the app, two consoles, the types of common options, and how a sentence is said."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from neuropil.atlas.errors import AtlasError, InterruptionError

if TYPE_CHECKING:
    from neuropil.atlas.conduct.execute import Executor
    from neuropil.atlas.study import Study

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
Jobs = Annotated[int, typer.Option(min=1, help="Worker processes, one torch thread each (a Dask scheduler has its own).")]
On = Annotated[
    str,
    typer.Option(
        help="Where cells are run: local (processes here), dask://HOST:PORT, tls://HOST:PORT or a scheduler's .json file, slurm:PROFILE "
        "(or pbs, lsf, sge, oar, moab, htcondor; --jobs workers are started).",
        metavar="PLACE",
    ),
]
MOST_SEEDS = 10_000
CORES = min(os.cpu_count() or 1, 8)


def read_seeds(text: str | None) -> list[int] | None:
    """Read ``0:10`` or ``3,5,8`` as a list of seeds; raise ``AtlasError`` for anything else."""
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


def load_digests(study: Study, *budgets: str) -> Mapping[str, str]:
    """Load (and so verify, download, or refuse) every data set that these budgets use, and give their checksums."""
    from neuropil.data import load

    return {name: load(name).sha256 for name in dict.fromkeys(name for budget in budgets for name in study.data.get(budget, ()))}


@contextmanager
def placed(on: str, jobs: int) -> Iterator[Executor]:
    """Give the executor that ``--on`` names; what it says about its workers is printed."""
    from neuropil.atlas.conduct.places import place

    with place(on, jobs, lambda sentence: err.print(escaped(sentence), soft_wrap=True)) as executor:
        yield executor


def row_of(slug: str) -> Any:
    """Give the row of the catalogue with this slug; ``None`` for a study of the user's own."""
    from neuropil.atlas.catalogue import rows

    return next((row for row in rows() if row.slug == slug), None)


def tell_moved(store: Any) -> None:
    """Say which corrupt cells a store moved aside."""
    for path in store.moved_aside:
        err.print(f"A corrupt cell was found by its checksum, moved to {path} and run again.", soft_wrap=True)


def tell_packages() -> None:
    """Say which installed packages could not add their rows, where the catalogue was read."""
    from neuropil.atlas.catalogue import adopted

    if adopted.cache_info().currsize:
        for sentence in adopted().problems:
            say(sentence)


def say(sentence: str) -> None:
    """Print one sentence about what went wrong."""
    err.print(f"[red]neuropil:[/red] {escaped(sentence)}", soft_wrap=True)


def mendable(error: Exception) -> bool:
    """Whether it is one sentence about something a user can mend, an interruption not; ``DataError`` by its name, for its module is heavy."""
    return (isinstance(error, AtlasError) and not isinstance(error, InterruptionError)) or type(error).__name__ == "DataError"


def escaped(text: str) -> str:
    """Escape what rich would read as markup."""
    from rich.markup import escape

    return escape(text)
