"""A board is data plus one function: entries, tasks, one tuning grid for all, and the trial that measures one entry on one task."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuropil.atlas.conduct.fingerprint import code_hash
from neuropil.atlas.contrast import Metric
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.seeds import EXPLORATORY_LIMIT, TUNING_FLOOR, Seed
from neuropil.atlas.space import Grid
from neuropil.atlas.study import Settings
from neuropil.packages import load_parts

FEWEST_SEEDS = 10
BoardTrial = Callable[[Settings, str, Settings, Seed], Outcome]


@dataclass(frozen=True)
class Entry:
    """One part on a board: the ``settings`` its trial gets, its sources, and the ``file`` it is written in.

    The file and what it imports are hashed with this entry alone, so that a new or changed part makes no other entry stale.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    cites: tuple[str, ...] = ()
    file: Path | None = None
    note: str = ""

    @property
    def arm(self) -> dict[str, Any]:
        """What names its cells: the settings, and the hash of its code."""
        return {**self.settings, "code": code_hash(self.file) if self.file else ""}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What entries are measured on: ``about`` in words, the name ``on`` and the ``metric`` that ranks them, the ``budget`` that is equal for all.

    ``smoke`` overrides settings for a quick look at every entry, by which changed code is known to give the same numbers; ``tune`` those of the search
    (which must not see the test). A budget's ``resplit=(train, test)`` says that every seed draws its split from one pool. ``data`` names data sets.
    """

    about: str
    on: str
    metric: Metric
    budget: Mapping[str, Any]
    smoke: Mapping[str, Any]
    tune: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    note: str = ""

    @property
    def overlap(self) -> float:
        """Test/train where every seed draws a fresh split of one pool, else 0 (nadeau2003)."""
        split = self.budget.get("resplit")
        return split[1] / split[0] if split else 0.0


@dataclass(eq=False, kw_only=True)
class Board:
    """Parts of one ``kind`` crossed with tasks.

    ``entries()`` gives the entries that are ranked, by name; ``entry(name)`` makes one for a name that is not among them (a part of the user's
    own), or raises ``AtlasError``. ``refuses(entry, task)`` says in words why an entry cannot do a task (``None`` where it can): it is shown there with that reason, and not run. ``grid`` is the tuning grid, the same for every entry, every point tried on the seeds ``tuning`` (all >= 1000);
    ``ends(entry, point)`` names the settings that a chosen point has at an end of the search (None: those at an end of the grid). ``costs`` describe what
    else a trial returns. The ``seeds`` that results rest on, at least ten, follow from the board's definition, so that nobody chooses them.
    """

    name: str
    title: str
    kind: str
    about: str
    tasks: Mapping[str, Task]
    entries: Callable[[], Mapping[str, Entry]]
    grid: Mapping[str, Grid]
    costs: Mapping[str, Metric]
    entry: Callable[[str], Entry] | None = None
    refuses: Callable[[Entry, str], str | None] | None = None
    ends: Callable[[Entry, Mapping[str, float]], list[str]] | None = None
    tuning: tuple[int, ...] = (1000, 1001)
    seeds: int = FEWEST_SEEDS
    note: str = ""
    _trial: BoardTrial | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise AtlasError(f"The name {self.name!r} of a board is not usable; write lower-case words joined by hyphens, such as 'cells'.")
        if not self.tasks:
            raise AtlasError(f"The board {self.name} has no task; give tasks= one Task or more, by name.")
        if self.seeds < FEWEST_SEEDS:
            raise AtlasError(f"A board ranks on {FEWEST_SEEDS} seeds or more, {self.seeds} were given; fewer say little about an order.")
        if wrong := [seed for seed in self.tuning if not TUNING_FLOOR <= seed < EXPLORATORY_LIMIT]:
            raise AtlasError(f"Tuning seeds lie between {TUNING_FLOOR} and {EXPLORATORY_LIMIT - 1}, {wrong[0]} was given.")
        for name, task in self.tasks.items():
            if task.metric.kind != "mean" or task.on in self.costs:
                raise AtlasError(f"{self.name}: the metric {task.on!r} of {name} ranks entries; it is of kind mean, and none of the costs.")

    def trial(self, function: BoardTrial) -> BoardTrial:
        """Register ``trial(entry, task, budget, seed) -> {metric: number, cost: number}``: one entry, one task, one seed."""
        self._trial = function
        return function

    def find(self, names: Sequence[str] | None = None) -> dict[str, Entry]:
        """Give the entries with these names (all by default); raise ``AtlasError`` for one that is not known, with the nearest."""
        known = dict(self.entries())
        if names is None:
            return known
        if len(set(names)) < len(names) or not names:
            raise AtlasError(
                f"--entries names {', '.join(names) or 'nothing'}; give each entry once, for example --entries {','.join([*known][:2])}."
            )
        return {name: known[name] if name in known else self._other(name, known) for name in names}

    def _other(self, name: str, known: Mapping[str, Entry]) -> Entry:
        if self.entry is None:
            raise AtlasError(f"The board {self.name} has no entry {name!r}; {nearest(name, known)}.")
        load_parts()
        return self.entry(name)

    def on(self, task: str, names: Sequence[str] | None = None) -> Assay:
        """Give one task of the board as something that is cut into cells; raise ``AtlasError`` for an unknown task, with the nearest."""
        if task not in self.tasks:
            raise AtlasError(f"The board {self.name} has no task {task!r}; {nearest(task, self.tasks)}.")
        return Assay(self, task, self.find(names))

    def edges(self, entry: Entry, point: Mapping[str, float]) -> list[str]:
        """Name the settings that lie at an end of the search where the entry is best at this point."""
        if self.ends is not None:
            return self.ends(entry, point)
        return [axis for axis, grid in self.grid.items() if grid.at_edge(point[axis])]

    def measure(self, entry: Settings, task: str, budget: Settings, seed: Seed) -> Outcome:
        """Run the trial once."""
        if self._trial is None:
            raise AtlasError(f"The board {self.name} has no trial; decorate a function with @board.trial.")
        return self._trial(entry, task, budget, seed)


class Assay:
    """One task of a board with its entries: what is planned, run and read as a study's arms are (``conduct.loading.Experiment``).

    ``refused``: of the entries asked for, those that cannot do the task, and why. Raises ``AtlasError`` where all of them are.
    """

    batch = 1

    def __init__(self, board: Board, task: str, entries: Mapping[str, Entry]) -> None:
        self.board, self.name, self.task = board, task, board.tasks[task]
        said = {name: board.refuses(entry, task) for name, entry in entries.items()} if board.refuses else {}
        self.refused = {name: why for name, why in said.items() if why}
        self.entries = {name: entry for name, entry in entries.items() if name not in self.refused}
        if not self.entries:
            raise AtlasError(f"No entry asked for can do {task}: {'; '.join(self.refused.values())}; name another with --entries.")
        self.slug = f"board/{board.name}/{task}"
        self.arms: dict[str, dict[str, Any]] = {name: entry.arm for name, entry in self.entries.items()}
        self.budgets: dict[str, dict[str, Any]] = {"board": dict(self.task.budget), "smoke": {**self.task.budget, **self.task.smoke}}
        self.data = dict.fromkeys(self.budgets, self.task.data)

    def compute(self, arm: Settings, budget: Settings, seeds: Sequence[Seed]) -> list[Outcome]:
        """Run the trial for these seeds, one after another."""
        return [self.board.measure(arm, self.name, budget, seed) for seed in seeds]


def nearest(word: str, known: Mapping[str, Any]) -> str:
    """Say which of the known names is meant, or all of them."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.5) or [name for name in known if name.lower() == word.lower()]
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}it has {', '.join(known)}"
