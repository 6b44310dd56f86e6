"""What happened on other machines, and what trials printed there: one file a run, in ``logs/`` of the store."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from neuropil.atlas.conduct.plan import Cell
from neuropil.atlas.conduct.work import described
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import said


class Log:
    """Lines of a run; ``printed`` says whether a trial printed anything."""

    def __init__(self, root: Path, name: str) -> None:
        self.path = root / "logs" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}.txt"
        self.printed = False

    def add(self, where: str, cell: Cell, became: str, since: float, printed: str) -> None:
        """Say what became of a cell, where, after how long, and what it printed."""
        self.printed = self.printed or bool(printed.strip())
        lines = "".join(f"  | {line}\n" for line in printed.splitlines())
        self.note(f"{where}  {described(cell)}: {became} after {time.monotonic() - since:.1f} s\n{lines}".rstrip("\n"))

    def note(self, sentence: str) -> None:
        """Add a line with its time; raise ``AtlasError`` where it cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now(UTC):%H:%M:%S}  {sentence}\n")
        except OSError as error:
            raise AtlasError(said(error, self.path)) from None
