"""A study is data plus one function: a paper's claim as one falsifiable contrast, and the trial that measures it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.expressions import Condition
from neuropil.atlas.outcome import Outcome, Table
from neuropil.atlas.seeds import Seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["mean", "success", "steps", "time", "exact"]
Fidelity = Literal["code", "paper", "reconstructed", "unverifiable"]
Scale = Literal["own", "reduced", "proxy"]
BUDGETS = ("smoke", "glance", "desk", "full")


@dataclass(frozen=True)
class Metric:
    """What a trial measures under one name.

    ``kind`` decides the statistics: ``mean`` paired t; ``success`` 0 or 1 a seed, exact McNemar; ``steps`` and ``time`` logarithms, censored
    ranks where a run never got there (return ``inf``); ``exact`` deterministic, no p-value. ``better`` is the direction of benefit.
    ``floor`` and ``ceiling`` are the worst and best possible values, if there are any. ``house`` names the row of the house table of
    smallest differences that a contrast on this metric may not go below (``neuropil.atlas.house``), where the metric's own name has none.
    """

    units: str
    kind: Kind = "mean"
    better: Literal["higher", "lower"] = "higher"
    floor: float | None = None
    ceiling: float | None = None
    label: str = ""
    house: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("mean", "success", "steps", "time", "exact"):
            raise AtlasError(f"A metric's kind is mean, success, steps, time or exact, {self.kind!r} was given; choose one of these.")
        if self.better not in ("higher", "lower"):
            raise AtlasError(f"A metric is better when 'higher' or 'lower', {self.better!r} was given; choose one of these.")


@dataclass(frozen=True)
class Match:
    """A quantity that a contrast holds equal: the arms' mean ``metric`` may differ by at most ``within`` (absolute) or ``ratio`` (a share)."""

    metric: str
    within: float | None = None
    ratio: float | None = None

    def __post_init__(self) -> None:
        if (self.within is None) == (self.ratio is None):
            raise AtlasError(f"Match({self.metric!r}) needs exactly one of within= or ratio=, both or neither were given; give one.")

    def __str__(self) -> str:
        return f"{self.metric} within {self.within:g}" if self.within is not None else f"{self.metric} within {self.ratio:.0%}"


MATCHES = {
    "parameters": Match("parameters", ratio=0.05),
    "compute": Match("steps", ratio=0.0),
    "data": Match("samples", ratio=0.0),
}
"""What the house means by match="parameters" | "compute" | "data": metrics of these names that every trial of both arms returns."""


@dataclass(frozen=True)
class Contrast:
    """Arm ``a`` against arm ``b`` on one metric, in one direction, with ``delta`` the smallest difference that matters.

    The benefit of a seed is ``a - b`` where higher is better, ``b - a`` where lower is. For ``steps`` and ``time`` it is ``log(b / a)`` (or
    the reverse) and ``delta`` is a ratio above 1. ``relation="equal"`` claims that the two do not differ by ``delta``.
    ``match`` names what is held equal (``"parameters"``, ``"compute"``, ``"data"``, a ``Match``, or a tuple of these); ``None`` needs ``why``.
    """

    a: str
    b: str
    on: str
    delta: float
    match: str | Match | tuple[str | Match, ...] | None = None
    why: str = ""
    relation: Literal["greater", "equal"] = "greater"

    def __post_init__(self) -> None:
        if self.a == self.b:
            raise AtlasError(f"A contrast compares two arms, {self.a!r} was given twice; name two different arms.")
        if not (isinstance(self.delta, int | float) and math.isfinite(self.delta) and self.delta > 0):
            raise AtlasError(
                f"The contrast {self.a} against {self.b} needs a positive delta, {self.delta!r} was given; say how small a difference still matters."
            )
        if self.match is None and not self.why:
            raise AtlasError(
                f"The contrast {self.a} against {self.b} holds nothing equal and gives no reason; set match= to what is matched, or why= to why nothing can be."
            )
        for item in self.matches_as_given:
            if isinstance(item, str) and item not in MATCHES:
                raise AtlasError(
                    f"match={item!r} is not known; accepted are {', '.join(MATCHES)}, a Match(metric, within=...), or None with why=."
                )

    @property
    def matches_as_given(self) -> tuple[str | Match, ...]:
        """What was declared, always as a tuple."""
        if self.match is None:
            return ()
        return self.match if isinstance(self.match, tuple) else (self.match,)

    @property
    def matches(self) -> tuple[Match, ...]:
        """What was declared, resolved to measured quantities."""
        return tuple(MATCHES[item] if isinstance(item, str) else item for item in self.matches_as_given)

    def swapped(self) -> Contrast:
        """The same contrast read the other way round."""
        return Contrast(self.b, self.a, self.on, self.delta, self.match, self.why, self.relation)

    def __str__(self) -> str:
        sign = ">" if self.relation == "greater" else "~"
        return f"{self.a} {sign} {self.b} on {self.on} by {self.delta:g}"


_CLAIM = re.compile(r"^\s*(?P<arms>[\w\s>~.-]+?)\s+on\s+(?P<metric>\w+)(?:\s+by\s+(?P<delta>[0-9.eE+-]+))?\s*$")


def contrasts(text: str, *, match: str | Match | tuple[str | Match, ...] | None = None, why: str = "") -> tuple[Contrast, ...]:
    """Read ``"a > b > c on accuracy by 0.02"`` (neighbours compared) or ``"a ~ b on accuracy by 0.02"`` (no difference of 0.02).

    Raises ``AtlasError`` for ``>>``, for ``near``, and for anything without a number.
    """
    if ">>" in text or re.search(r"\bnear\b", text):
        raise AtlasError(f"{text!r} has no defined margin: '>>' and 'near' are not accepted; write 'a > b on metric by 0.02'.")
    found = _CLAIM.match(text)
    if not found or found["delta"] is None:
        raise AtlasError(
            f"{text!r} names no margin; write 'a > b on metric by 0.02' or 'a ~ b on metric by 0.02', the margin in the metric's units."
        )
    parts = re.split(r"\s*([>~])\s*", found["arms"].strip())
    arms, signs = parts[::2], parts[1::2]
    if len(arms) < 2 or not all(re.fullmatch(r"[\w.-]+", arm) for arm in arms):
        raise AtlasError(f"{text!r} does not compare two arms; write 'a > b on metric by 0.02'.")
    return tuple(
        Contrast(a, b, found["metric"], float(found["delta"]), match, why, "greater" if sign == ">" else "equal")
        for a, sign, b in zip(arms, signs, arms[1:], strict=False)
    )


@dataclass(frozen=True)
class Dose:
    """Proof that the mechanism acted: the mean of ``metric`` over seeds in the arm (the primary mechanism unless named) is ``at_least`` so much."""

    metric: str
    at_least: float
    arm: str | None = None


@dataclass(frozen=True)
class Gate:
    """Proof that the assay can show the effect: every condition on arm means holds, e.g. ``"best.accuracy - untrained.accuracy >= 0.1"``."""

    text: str
    conditions: tuple[Condition, ...]

    def __init__(self, text: str, *conditions: str) -> None:
        if not conditions:
            raise AtlasError(f"Gate({text!r}) has no condition; add at least one such as 'constant.accuracy >= 0.3'.")
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "conditions", tuple(Condition(c) for c in conditions))


@dataclass(frozen=True)
class Lesion:
    """Proof that what acts is the mechanism: knocking it out in ``arm`` costs ``on`` (the primary metric unless named) by ``at_least`` on the mean.

    ``on`` may be the variable that the mechanism is meant to move, so that a null can still be audited; a *supported* verdict
    additionally needs the lesion to cost on the primary metric itself.
    """

    arm: str
    on: str | None = None
    at_least: float = 0.0


@dataclass(frozen=True)
class Off:
    """At strength 0 the mechanism is its control: ``arm`` and ``equals`` agree on every metric they share, to rounding, in a smoke run."""

    arm: str
    equals: str


@dataclass(frozen=True)
class Grid:
    """Values of one tuned setting, ascending; ``closed`` names the ends that are natural bounds, where an optimum is no edge."""

    values: tuple[float, ...]
    closed: Literal["none", "low", "high", "both"] = "none"

    def __post_init__(self) -> None:
        if len(self.values) < 2 or list(self.values) != sorted(set(self.values)):
            raise AtlasError(f"A tuning grid is at least two ascending values, {self.values} was given; sort it and drop repeats.")

    def at_edge(self, value: float) -> bool:
        """Say whether ``value`` is an end of the grid that is not a natural bound."""
        low, high = value == self.values[0], value == self.values[-1]
        return (low and self.closed not in ("low", "both")) or (high and self.closed not in ("high", "both"))


@dataclass(frozen=True)
class Tune:
    """One grid for every tuned arm, every point tried on the same ``seeds`` (all >= 1000), the best mean of ``on`` kept.

    ``arms`` are those whose settings are searched; ``follow`` lets an arm take another's choice (a yoked arm, a lesion).
    ``budget`` overrides settings of the tuned budget while searching. ``spread`` seeds, other than those of the search, measure the spread of the
    primary difference, from which the number of reporting seeds follows.
    """

    space: Mapping[str, Grid | tuple[float, ...] | list[float]]
    on: str
    arms: tuple[str, ...]
    follow: Mapping[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] = tuple(range(1000, 1003))
    spread: tuple[int, ...] = tuple(range(1100, 1110))
    budget: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grids(self) -> dict[str, Grid]:
        """The space with every axis as a ``Grid``."""
        return {name: axis if isinstance(axis, Grid) else Grid(tuple(axis)) for name, axis in self.space.items()}

    def __post_init__(self) -> None:
        if any(seed < 1000 for seed in (*self.seeds, *self.spread)):
            raise AtlasError(
                f"Tuning seeds are 1000 and above, {min(*self.seeds, *self.spread)} was given; the lower ones are for exploration."
            )
        if set(self.seeds) & set(self.spread):
            raise AtlasError(
                "The spread is measured on seeds that the search did not see; make Tune(seeds=...) and Tune(spread=...) disjoint."
            )
        if len(self.spread) < 8:
            raise AtlasError(f"The spread needs at least 8 tuning seeds, {len(self.spread)} were given; add some to Tune(spread=...).")


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
    figures: dict[str, tuple[str, FigureFunction]] = field(default_factory=dict, init=False)
    _trial: TrialFunction | None = field(default=None, init=False)
    _trials: TrialsFunction | None = field(default=None, init=False)
    batch: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        for contrast in self.contrasts:
            for arm in (contrast.a, contrast.b):
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
