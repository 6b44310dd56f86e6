"""Pointwise programs: a list of numbered operations, none twice, on inputs by name; the form between an equation and a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Constant:
    """A number in a program; never equal to a value that has the same number."""

    value: float


Operand = int | Constant
"""What an operation works on: a value by its number in the program, or a constant."""
ONE, ZERO = Constant(1.0), Constant(0.0)


@dataclass(frozen=True)
class Operation:
    """``name(*operands)``, one of ``IN_TORCH``."""

    name: str
    operands: tuple[Operand, ...]


class Program:
    """Values numbered in the order they are made: the inputs first, then operations; ``outputs`` are operands.

    ``add`` gives the number of an operation's value, the old one where the same operation is there already. Operations on constants are
    constants, and ``1 x``, ``x / 1``, ``x + 0``, ``x - 0`` are ``x``, which keeps NaN and infinity what they are.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self.values: list[str | Operation] = list(inputs)
        self.outputs: tuple[Operand, ...] = ()
        self._known: dict[Operation, int] = {}

    def add(self, name: str, *operands: Operand) -> Operand:
        """Give the value of ``name(*operands)``."""
        numbers = [torch.tensor(one.value, dtype=torch.float64) for one in operands if isinstance(one, Constant)]
        if len(numbers) == len(operands):
            return Constant(float(IN_TORCH[name](*numbers)))
        if name in ("mul", "add") and isinstance(operands[0], Constant):
            operands = operands[::-1]
        if (name in ("mul", "div", "pow") and operands[1] == ONE) or (name in ("add", "sub") and operands[1] == ZERO):
            return operands[0]
        operation = Operation(name, operands)
        if operation not in self._known:
            self._known[operation] = len(self.values)
            self.values.append(operation)
        return self._known[operation]

    def needed(self, outputs: Iterable[Operand]) -> set[int]:
        """The values that ``outputs`` depend on, themselves included."""
        waiting = [one for one in outputs if isinstance(one, int)]
        found: set[int] = set()
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self.made_of(one)
        return found

    def made_of(self, number: int) -> list[int]:
        """The values that one value's operation works on; none for an input."""
        value = self.values[number]
        return [one for one in value.operands if isinstance(one, int)] if isinstance(value, Operation) else []

    def only_from(self, inputs: Iterable[str]) -> set[int]:
        """The values that depend on none but these inputs."""
        allowed, found = set(inputs), set[int]()
        for number, value in enumerate(self.values):
            if value in allowed if isinstance(value, str) else found.issuperset(self.made_of(number)):
                found.add(number)
        return found

    def evaluate(self, wanted: Sequence[int], given: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute the ``wanted`` values in torch from the inputs by name."""
        made: dict[int, Tensor] = {}
        for number in sorted(self.needed(wanted)):
            value = self.values[number]
            if isinstance(value, str):
                made[number] = given[value]
            else:
                made[number] = IN_TORCH[value.name](*(made[one] if isinstance(one, int) else one.value for one in value.operands))
        return [made[number] for number in wanted]


def _of_two(name: str) -> Callable[..., Tensor]:
    function: Callable[..., Tensor] = getattr(torch, name)

    def apply(one: Any, other: Any) -> Tensor:
        like = one if isinstance(one, Tensor) else other
        return function(*(value if isinstance(value, Tensor) else like.new_tensor(value) for value in (one, other)))

    return apply


def _where(condition: Any, one: Any, other: Any) -> Tensor:
    chosen = condition.bool() if isinstance(condition, Tensor) else torch.tensor(bool(condition))
    like = next((value for value in (one, other) if isinstance(value, Tensor)), torch.empty((), device=chosen.device))
    one, other = (value if isinstance(value, Tensor) else like.new_tensor(value) for value in (one, other))
    return torch.where(chosen, one, other)


_ONE = ("abs", "atan", "ceil", "cos", "erf", "exp", "expm1", "floor", "isnan", "log", "log1p", "logical_not", "neg", "reciprocal")
_ONE_MORE = ("round", "rsqrt", "sigmoid", "sign", "sin", "sqrt", "tanh")
_TWO = ("add", "div", "eq", "ge", "gt", "le", "logical_and", "logical_or", "lt", "maximum", "minimum", "mul", "ne", "pow", "sub")
IN_TORCH: dict[str, Callable[..., Tensor]] = {
    **{name: getattr(torch, name) for name in (*_ONE, *_ONE_MORE)},
    **{name: _of_two(name) for name in _TWO},
    "number": lambda x: x if x.is_floating_point() else x.to(torch.get_default_dtype()),
    "where": _where,
}
"""Every operation a program may hold, as torch computes it; ``number`` turns true and false into 1 and 0."""
TRUTHS = frozenset(("eq", "ge", "gt", "isnan", "le", "logical_and", "logical_not", "logical_or", "lt", "ne"))
"""The operations whose value is true or false."""
