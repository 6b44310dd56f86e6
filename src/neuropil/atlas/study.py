"""A study is data plus one function: a paper's claim as one falsifiable contrast, and the trial that measures it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from neuropil.atlas.contrast import Contrast, Metric
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.evidence import Dose, Gate, Lesion, Off
from neuropil.atlas.expressions import Condition
from neuropil.atlas.outcome import Outcome, Table
from neuropil.atlas.seeds import Seed
from neuropil.atlas.space import Tune

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Fidelity = Literal["code", "paper", "reconstructed", "unverifiable"]
Scale = Literal["own", "reduced", "proxy"]
BUDGETS = ("smoke", "glance", "desk", "full")


class Settings(Mapping[str, Any]):
    """A frozen mapping whose keys also read as attributes; a missing one is named in the error."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self._name = name
        self._values = dict(values)

    @property
    def name(self) -> str:
        """The arm's or the budget's name."""
        return self._name

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):
            raise AttributeError(key)
        try:
            return self._values[key]
        except KeyError:
            raise AttributeError(f"{self._name!r} has no setting {key!r}; it has {', '.join(self._values) or 'none'}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return (Settings, (self._name, self._values))

    def __repr__(self) -> str:
        return f"Settings({self._name!r}, {self._values!r})"


TrialFunction = Callable[[Settings, Settings, Seed], Outcome]
TrialsFunction = Callable[[Settings, Settings, list[Seed]], Sequence[Outcome]]
FigureFunction = Callable[[Table], "Figure"]


@dataclass(eq=False, kw_only=True)
class Study:
    """A paper's claim as one registered contrast.

    ``fidelity``: code (the authors' code was read), paper (equations only), reconstructed (our reading), unverifiable (never gets a badge).
    ``scale``: own (the paper's), reduced (its data, smaller), proxy (other data). ``arms`` map a name to its settings; ``budgets`` likewise
    (smoke, glance, desk, and full where it exists). ``primary`` may be several contrasts, which must then all pass.
    ``explored`` names the settings that were changed by hand (``neuropil run --set``), of which no verdict comes.
    ``data`` maps a budget to the names of the data sets it loads, by which results are keyed to checksums. Two settings of a budget are
    read by the statistics: ``resplit=(train, test)`` says that every seed draws a fresh split of one pool, so that intervals carry the
    Nadeau-Bengio correction; ``test_items`` is the number of test items behind one share of correct answers.
    """

    slug: str
    title: str = ""
    cites: str = ""
    claim: str
    fidelity: Fidelity
    scale: Scale
    arms: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Metric]
    primary: Contrast | tuple[Contrast, ...]
    dose: Dose | tuple[Dose, ...]
    gate: Gate
    lesion: Lesion
    off: Off
    budgets: Mapping[str, Mapping[str, Any]]
    distance: str
    data: Mapping[str, tuple[str, ...]]
    tune: Tune | None = None
    secondary: tuple[Contrast, ...] = ()
    paper: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""
    explored: Mapping[str, Any] = field(default_factory=dict, init=False)
    figures: dict[str, tuple[str, FigureFunction]] = field(default_factory=dict, init=False)
    _trial: TrialFunction | None = field(default=None, init=False)
    _trials: TrialsFunction | None = field(default=None, init=False)
    batch: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.slug):
            raise AtlasError(f"The slug {self.slug!r} is not usable; write lower-case words joined by hyphens, such as 'sparse-expansion'.")
        for contrast in self.contrasts:
            for arm in (contrast.a, contrast.b, *(arm for text in contrast.gate for arm in Condition(text).arms)):
                self._known(arm, f"The contrast '{contrast}'")
            if contrast.on not in self.metrics:
                raise AtlasError(
                    f"{self.slug}: the contrast '{contrast}' is on {contrast.on!r}, which metrics= does not describe; described are {', '.join(self.metrics)}."
                )
            if self.metrics[contrast.on].kind in ("steps", "time") and contrast.delta <= 1:
                raise AtlasError(
                    f"{self.slug}: '{contrast}' is on steps or time, where delta is a ratio above 1, {contrast.delta:g} was given; write for example 1.25."
                )
        self._known(self.lesion.arm, "The lesion")
        self._known(self.off.arm, "Off")
        self._known(self.off.equals, "Off")
        for dose in self.doses:
            if dose.arm is not None:
                self._known(dose.arm, "The dose")
        for condition in self.gate.conditions:
            for arm in condition.arms:
                self._known(arm, f"The gate's condition '{condition}'")
        if self.tune is not None:
            for arm in (*self.tune.arms, *self.tune.follow, *self.tune.follow.values()):
                self._known(arm, "The tuning")
            for arm in (arm for contrast in self.primaries for arm in (contrast.a, contrast.b)):
                if arm not in self.tune.arms and arm not in self.tune.follow:
                    raise AtlasError(
                        f"{self.slug}: the primary arm {arm!r} is not tuned while others are; add it to Tune(arms=...) or Tune(follow=...)."
                    )
                if arm in self.tune.follow and not self.tune.why:
                    raise AtlasError(
                        f"{self.slug}: the primary arm {arm!r} takes another's tuning and Tune(why=...) does not say why; tune it itself, or say why it cannot be."
                    )
        for name in ("smoke", "glance", "desk"):
            if name not in self.budgets:
                raise AtlasError(
                    f"{self.slug}: budgets= lacks {name!r}; every study has smoke (2 s), glance (two minutes) and desk (the verdict)."
                )
        if unknown := set(self.budgets) - set(BUDGETS):
            raise AtlasError(f"{self.slug}: budgets= has {', '.join(sorted(unknown))}; accepted are {', '.join(BUDGETS)}.")
        if self.fidelity not in ("code", "paper", "reconstructed", "unverifiable"):
            raise AtlasError(f"{self.slug}: fidelity is code, paper, reconstructed or unverifiable, {self.fidelity!r} was given.")
        if not self.distance:
            raise AtlasError(f"{self.slug}: distance= is empty; say in one sentence how the desk run differs from the paper, or 'none'.")

    def _known(self, arm: str, who: str) -> None:
        if arm not in self.arms:
            raise AtlasError(f"{self.slug}: {who} names the arm {arm!r}, which the study lacks; its arms are {', '.join(self.arms)}.")

    @property
    def primaries(self) -> tuple[Contrast, ...]:
        """The primary contrast or contrasts, always as a tuple."""
        return self.primary if isinstance(self.primary, tuple) else (self.primary,)

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """All contrasts, the primary ones first."""
        return (*self.primaries, *self.secondary)

    @property
    def timed(self) -> set[str]:
        """The metrics that are times: measured alone, and never asked to be the same twice."""
        return {name for name, metric in self.metrics.items() if metric.kind == "time"}

    @property
    def doses(self) -> tuple[Dose, ...]:
        """The dose checks, always as a tuple."""
        return self.dose if isinstance(self.dose, tuple) else (self.dose,)

    def trial(self, function: TrialFunction) -> TrialFunction:
        """Register ``trial(arm, budget, seed) -> {metric: float, name: Curve | Matrix}``: one arm, one budget, one seed."""
        self._trial = function
        return function

    def trials(self, batch: int) -> Callable[[TrialsFunction], TrialsFunction]:
        """Register ``trials(arm, budget, seeds) -> [outcome, ...]``, where up to ``batch`` seeds are computed together as one cell."""
        if batch < 1:
            raise AtlasError(f"A batch of seeds is at least 1, {batch} was given.")

        def register(function: TrialsFunction) -> TrialsFunction:
            self._trials, self.batch = function, batch
            return function

        return register

    def figure(self, name: str, caption: str) -> Callable[[FigureFunction], FigureFunction]:
        """Register ``figure(table) -> matplotlib Figure``, drawn from stored results only, shown in the report under ``caption``."""

        def register(function: FigureFunction) -> FigureFunction:
            self.figures[name] = (caption, function)
            return function

        return register

    def compute(self, arm: Settings, budget: Settings, seeds: Sequence[Seed]) -> list[Outcome]:
        """Run the trial for these seeds, together where the study batches them."""
        if self._trials is not None:
            outcomes = list(self._trials(arm, budget, list(seeds)))
        elif self._trial is not None:
            outcomes = [self._trial(arm, budget, seed) for seed in seeds]
        else:
            raise AtlasError(f"{self.slug} has no trial; decorate a function with @study.trial or @study.trials(batch=...).")
        if len(outcomes) != len(seeds):
            raise AtlasError(
                f"{self.slug}: {len(seeds)} seeds were asked for and {len(outcomes)} outcomes came back; return one a seed, in order."
            )
        return outcomes
