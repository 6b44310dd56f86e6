"""The conformance suite: what every part does, as checks that a test or a person can run one by one or all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from neuropil.continual.strategy import STRATEGIES, Strategy
from neuropil.dynamics import leaves
from neuropil.dynamics.registry import CELLS, RULES, SYNAPSES, Part
from neuropil.memory.protocol import MEMORIES
from neuropil.testing.bench import Bench

if TYPE_CHECKING:
    from neuropil.testing.memories import MemoryBench
    from neuropil.testing.strategies import StrategyBench

FILES = ("sequences", "independence", "numbers", "elementwise", "refusals", "memories", "strategies")
"""The files beside this one that state the checks."""
Function = Callable[..., None]
Wanted = Callable[[Part], bool]
Kind = Literal["dynamics", "memory", "strategy"]
"""What is driven by inputs (cells, synapses, rules), written and asked (memories), or teaches a network tasks (strategies)."""


@dataclass(frozen=True)
class Stated:
    """One stated check: its function, of which parts it is asked, and the cases it is asked with."""

    function: Function
    wanted: Wanted
    cases: Mapping[str, Any]
    kind: Kind


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
            from neuropil.testing.memories import MemoryBench

            return MemoryBench(self.part)
        if kind_of(self.part) == "strategy":
            from neuropil.testing.strategies import StrategyBench

            return StrategyBench(self.part)
        return Bench(self.part)


_SUITE: list[Stated] = []


def kind_of(part: Part) -> Kind:
    """Whether a part is a strategy, a memory, which has ``write`` and ``recall``, or something that inputs drive."""
    if isinstance(part.make, type) and issubclass(part.make, Strategy):
        return "strategy"
    return "memory" if hasattr(part.make, "write") and hasattr(part.make, "recall") else "dynamics"


def asked(
    wanted: Wanted = lambda part: True, cases: Mapping[str, Any] | None = None, kind: Kind = "dynamics"
) -> Callable[[Function], Function]:
    """Decorator: put a check ``function(bench)``, or ``function(bench, case)``, into the suite, asked of the parts of this kind that are ``wanted``."""

    def add(function: Function) -> Function:
        _SUITE.append(Stated(function, wanted, cases or {}, kind))
        return function

    return add


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
    wanted = [stated for stated in _SUITE if stated.kind == kind and stated.wanted(subject.part)]
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


def require(holds: object, sentence: str) -> None:
    """Raise ``AssertionError`` with this sentence unless the condition holds."""
    if not holds:
        raise AssertionError(sentence)


def same(one: Tensor, other: Tensor, exact: bool = True) -> None:
    """Require two tensors to be equal, to the bit or to rounding."""
    tolerance = 0.0 if exact else 1e-9
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)


def same_state(one: Any, other: Any, exact: bool = True) -> None:
    """Require two states to be of one type with equal fields."""
    require(type(one) is type(other), f"A state is a {type(one).__name__} here and a {type(other).__name__} there.")
    pairs: Iterable[tuple[tuple[str, Tensor], tuple[str, Tensor]]] = zip(leaves(one), leaves(other), strict=True)
    for (name, a), (other_name, b) in pairs:
        require(name == other_name, f"The states' fields differ: {name} and {other_name}.")
        same(a, b, exact)
