"""How a check of the conformance suite is stated, and what it requires in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from neuropil.dynamics import leaves
from neuropil.dynamics.registry import Part

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


SUITE: list[Stated] = []
"""All checks, in the order in which they were stated."""


def asked(
    wanted: Wanted = lambda part: True, cases: Mapping[str, Any] | None = None, kind: Kind = "dynamics"
) -> Callable[[Function], Function]:
    """Decorator: put a check ``function(bench)``, or ``function(bench, case)``, into the suite, asked of the parts of this kind that are ``wanted``."""

    def add(function: Function) -> Function:
        SUITE.append(Stated(function, wanted, cases or {}, kind))
        return function

    return add


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
