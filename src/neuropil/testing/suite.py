"""The conformance suite: what every part does, as checks that a test or a person can run one by one or all at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from neuropil.continual.strategy import STRATEGIES, Strategy
from neuropil.dynamics.registry import CELLS, RULES, SYNAPSES, Part
from neuropil.memory.protocol import MEMORIES
from neuropil.testing.bench import Bench
from neuropil.testing.memories import MemoryBench
from neuropil.testing.stating import SUITE, Kind, Stated
from neuropil.testing.strategies import StrategyBench

FILES = ("sequences", "independence", "numbers", "elementwise", "refusals", "memories", "strategies")
"""The files beside this one that state the checks."""


@dataclass(frozen=True)
class Check:
    """One check of one part: call it; it raises where the part fails. ``str(check)`` names it."""

    stated: Stated
    shared: Subject
    case: str = ""

    @property
    def part(self) -> Part:
        """The part it is asked of."""
        return self.shared.part

    def __str__(self) -> str:
        return self.stated.function.__name__.replace("_", " ") + (f" ({self.case})" if self.case else "")

    def __call__(self) -> None:
        """Run it."""
        self.stated.function(self.shared.bench, *([self.stated.cases[self.case]] if self.case else []))


class Subject:
    """A part and its bench, which is made when the first check needs it."""

    def __init__(self, part: Part) -> None:
        self.part = part

    @cached_property
    def bench(self) -> Bench | MemoryBench | StrategyBench:
        """The bench that all checks of this part share; instances are made anew for each."""
        if kind_of(self.part) == "memory":
            return MemoryBench(self.part)
        if kind_of(self.part) == "strategy":
            return StrategyBench(self.part)
        return Bench(self.part)


def kind_of(part: Part) -> Kind:
    """Whether a part is a strategy, a memory, which has ``write`` and ``recall``, or something that inputs drive."""
    if isinstance(part.make, type) and issubclass(part.make, Strategy):
        return "strategy"
    return "memory" if hasattr(part.make, "write") and hasattr(part.make, "recall") else "dynamics"


def checks(part: type | Part, **facts: Any) -> list[Check]:
    """Give the checks that a part must pass, to be called one by one.

    ``part``: a class, registered or not, or its ``Part``. ``facts`` as a registry takes them (``example=``, ``features=``, ``along=``, ``off=``
    with ``like=``), for a class that is not registered. With pytest::

        @pytest.mark.parametrize("check", checks(Mine), ids=str)
        def test_mine(check):
            check()

    Raises ``TypeError`` for something that is no class, and for facts of a part that states its own.
    """
    for file in FILES:
        import_module(f"neuropil.testing.{file}")
    subject = Subject(_part(part, facts))
    kind = kind_of(subject.part)
    wanted = [stated for stated in SUITE if stated.kind == kind and stated.wanted(subject.part)]
    return [Check(stated, subject, case) for stated in wanted for case in (stated.cases or [""])]


def check_part(part: type | Part, **facts: Any) -> int:
    """Run every check on a part and give how many it passed; raise one ``AssertionError`` that lists those it failed.

    Arguments and errors as for ``checks``.
    """
    asked_of = checks(part, **facts)
    failed = [f"- {check}: {said}" for check in asked_of if (said := _failure(check))]
    if failed:
        raise AssertionError(f"{asked_of[0].part.name} fails {len(failed)} of {len(asked_of)} checks:\n" + "\n".join(failed))
    return len(asked_of)


def _failure(check: Check) -> str:
    try:
        check()
    except Exception as error:
        return " ".join(f"{'' if isinstance(error, AssertionError) else f'{type(error).__name__}: '}{error}".split())[:300]
    return ""


def _part(part: type | Part, facts: dict[str, Any]) -> Part:
    known = part if isinstance(part, Part) else _registered(part)
    if known is None:
        if not isinstance(part, type):
            raise TypeError(f"A class or a registered part is checked, a {type(part).__name__} was given; give the class itself.")
        return Part(part.__name__, part, **{"cites": (), **facts})
    if facts:
        raise TypeError(
            f"{known.name} is registered, and its registration says {', '.join(facts)}; state it there and give the class alone."
        )
    return known


def _registered(part: Any) -> Part | None:
    return next((one for registry in (CELLS, SYNAPSES, RULES, MEMORIES, STRATEGIES) for one in registry if one.make is part), None)
