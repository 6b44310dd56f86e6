"""A progress bar with the time left, for loops that take a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Self, TypeVar, overload

from rich.console import Console
from rich.errors import LiveError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")


class Bar:
    """A bar on standard error, as a ``with`` block: ``advance`` it, ``describe`` what goes on.

    Silent where nobody looks: with ``show=False``, outside a terminal, and inside another bar where rich allows only one.
    """

    def __init__(self, total: int | None, description: str = "", *, show: bool = True, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not (show and console.is_terminal),
        )
        self._task = self._progress.add_task(description, total=total)

    def __enter__(self) -> Self:
        try:
            self._progress.start()
        except LiveError:
            self._progress.disable = True
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._progress.disable:
            self._progress.stop()

    @property
    def done(self) -> float:
        """How far the bar is."""
        return self._progress.tasks[0].completed

    def advance(self, n: float = 1) -> None:
        """Move on by ``n``."""
        self._progress.advance(self._task, n)

    def describe(self, text: str) -> None:
        """Replace the text before the bar."""
        self._progress.update(self._task, description=text)


@overload
def progress(what: int, description: str = "", *, show: bool = True) -> Iterator[int]: ...
@overload
def progress(what: Iterable[T], description: str = "", *, show: bool = True) -> Iterator[T]: ...
def progress(what: int | Iterable[T], description: str = "", *, show: bool = True) -> Iterator[int] | Iterator[T]:
    """Iterate over ``what`` (a number means ``range``) behind a bar with the time left.

    Raises ``ValueError`` for a negative number.
    """
    if isinstance(what, int):
        if what < 0:
            raise ValueError(f"progress counts up to a number from 0 on, {what} was given.")
        return _behind_bar(range(what), description, show)
    return _behind_bar(what, description, show)


def _behind_bar(items: Iterable[T], description: str, show: bool) -> Iterator[T]:
    with Bar(len(items) if isinstance(items, Sized) else None, description, show=show) as bar:
        for item in items:
            yield item
            bar.advance()
