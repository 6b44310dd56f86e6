"""A traced equation as text for readers: names, infix, as few parentheses as it takes; every line is Python but for its names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from neuropil.dynamics.kernels.naming import PRODUCTS, SUMS, Named, operation_of
from neuropil.dynamics.kernels.program import ONE, ZERO, Constant, Operand, Operation
from neuropil.dynamics.kernels.trace import Traced

_CHOICE, _OR, _AND, _NOT, _COMPARED, _SUM, _PRODUCT, _MINUS, _POWER, _ATOM = range(10)
_SIGNS = {"eq": "==", "ge": ">=", "gt": ">", "le": "<=", "lt": "<", "ne": "!="}
_TURNED = {"ge": "le", "gt": "lt", "le": "ge", "lt": "gt"}
_CALLED = {"maximum": "max", "minimum": "min"}


def printed(traced: Traced, backward: bool = False) -> str:
    """Write a traced cell as a textbook would: what is computed once from parameters, then one moment.

    A state is named by its field, after the moment with a prime. Values needed more than once have short names; ``v1`` is on its way to become
    ``v'``. The step of a surrogate is ``1 if u >= 0 else 0``, where NaN stays NaN. With ``backward`` also what the moment gives back: ``dL/dx`` for
    the loss ``L``, from ``dL/dy`` and the ``dL/dv'`` of the moment after it; gradients of parameters add up (``+=``) over moments and neurons.
    """
    return _Printer(Named(traced, backward)).text()


Term = tuple[float, tuple[int, ...], tuple[int, ...]]
"""A number times values over values."""


class _Printer:
    """Writes named values as text; a value is a sum of terms, a term a number times values over values."""

    def __init__(self, named: Named) -> None:
        self.named, self.names = named, named.names

    def text(self) -> str:
        """All lines under their headings."""
        named, (once, moment, back) = self.named, (list[str](), list[str](), list[str]())
        for number in named.reached:
            if number in self.names and operation_of(named.program, number):
                lines = once if number in named.once else moment if number in named.forwards else back
                lines.append(f"{self.names[number]} = {self.render(number, by_name=False)[0]}")
        for name, one in named.outputs:
            if not isinstance(one, int) or named.results.get(one) != name:
                lines = moment if name in named.after else back
                lines.append(f"{name} {'+=' if name in named.added_up else '='} {'0' if one is None else self.render(one)[0]}")
        sections = {"once, from the parameters": once, "each moment": moment, "back through each moment": back}
        return "\n".join("\n    ".join((f"{heading}:", *lines)) for heading, lines in sections.items() if lines)

    def _made(self, operand: Operand, by_name: bool) -> Operation | None:
        """The operation to write out; None for what is written as a name or a number."""
        return None if by_name and operand in self.names else operation_of(self.named.program, operand)

    def at(self, operand: Operand, level: int) -> str:
        """A value as part of something that binds as strongly as ``level``."""
        text, binds = self.render(operand)
        return f"({text})" if binds < level else text

    def render(self, operand: Operand, by_name: bool = True) -> tuple[str, int]:
        """The text of a value, ``by_name`` where it has one, and how strongly it binds."""
        operation = self._made(operand, by_name)
        if operation is None or operation.name in SUMS | PRODUCTS:
            return self._sum(self.terms(operand, by_name))
        name, operands = operation.name, operation.operands
        if name in ("step", "where", "number"):
            condition = self._compared(operands[0], ZERO, "ge") if name == "step" else self.at(operands[0], _OR)
            one, other = operands[1:] if name == "where" else (ONE, ZERO)
            return f"{self.at(one, _OR)} if {condition} else {self.at(other, _CHOICE)}", _CHOICE
        if name in _SIGNS:
            return self._compared(operands[0], operands[1], name), _COMPARED
        if name in ("logical_and", "logical_or"):
            level, word = (_AND, " and ") if name == "logical_and" else (_OR, " or ")
            return word.join(self.at(one, level) for one in operands), level
        if name == "logical_not":
            return f"not {self.at(operands[0], _NOT)}", _NOT
        if name == "pow":
            return f"{self.at(operands[0], _ATOM)} ** {self.at(operands[1], _MINUS)}", _POWER
        return f"{_CALLED.get(name, name)}({', '.join(self.at(one, _CHOICE) for one in operands)})", _ATOM

    def _compared(self, one: Operand, other: Operand, name: str) -> str:
        """A comparison; one with 0 has what is taken away on the other side of the sign."""
        if other != ZERO:
            return f"{self.at(one, _SUM)} {_SIGNS[name]} {self.at(other, _SUM)}"
        terms = self.terms(one)
        ups, downs = [term for term in terms if term[0] > 0], [term for term in terms if term[0] <= 0]
        if not any(above or below for _, above, below in ups):
            ups, downs, name = downs, ups, _TURNED.get(name, name)
        sides = (self._sum([(abs(number), above, below) for number, above, below in side]) for side in (ups, downs))
        left, right = (text if binds > _COMPARED else f"({text})" for text, binds in sides)
        return f"{left} {_SIGNS[name]} {right}"

    def terms(self, operand: Operand, by_name: bool = True) -> list[Term]:
        """A value as a sum of products, like ones put together."""
        operation, found = self._made(operand, by_name), dict[tuple[frozenset[tuple[int, int]], ...], Term]()
        if operation is None or operation.name not in SUMS:
            return [self._factors(operand, by_name)]
        signs = {"add": (1, 1), "sub": (1, -1), "neg": (-1,)}[operation.name]
        for sign, one in zip(signs, operation.operands, strict=True):
            for number, above, below in self.terms(one):
                like = tuple(frozenset(Counter(values).items()) for values in (above, below))
                before, *values = found.get(like, (0.0, above, below))
                found[like] = (before + sign * number, *values)  # type: ignore[assignment]
        return [term for term in found.values() if term[0]] or [(0.0, (), ())]

    def _factors(self, operand: Operand, by_name: bool = True) -> Term:
        if isinstance(operand, Constant):
            return operand.value, (), ()
        operation = self._made(operand, by_name)
        if operation is None or operation.name not in PRODUCTS | SUMS:
            return 1.0, (operand,), ()
        if operation.name in ("add", "sub"):
            terms = self.terms(operand)
            return terms[0] if len(terms) == 1 else (1.0, (operand,), ())
        (n, a, b), *others = (self._factors(one) for one in operation.operands)
        if operation.name == "neg":
            return -n, a, b
        if operation.name == "reciprocal":
            return 1 / n, b, a
        m, c, d = others[0]
        return (n * m, a + c, b + d) if operation.name == "mul" else (n / m, a + d, b + c)

    def _sum(self, terms: Sequence[Term]) -> tuple[str, int]:
        """The text of a sum, positive terms first."""
        if not terms:
            return "0", _ATOM
        text, binds = "", _ATOM
        for number, above, below in sorted(terms, key=lambda term: term[0] < 0):
            term, binds = self._product(abs(number), above, below)
            if binds < _PRODUCT and (len(terms) > 1 or number < 0):
                term, binds = f"({term})", _ATOM
            text += (f" {'+' if number >= 0 else '-'} " if text else "-" * (number < 0)) + term
        return text, _SUM if len(terms) > 1 else min(binds, _MINUS) if terms[0][0] < 0 else binds

    def _product(self, number: float, above: Sequence[int], below: Sequence[int]) -> tuple[str, int]:
        if number == 1 and len(above) == 1 and not below:
            return (self.names[above[0]], _ATOM) if above[0] in self.names else self.render(above[0])
        upper, lower = ([self._power(one, k) for one, k in Counter(values).items()] for values in (above, below))
        if number != 1 or not upper:
            text, binds = _number(number)
            if not upper and not lower:
                return text, binds
            upper.insert(0, text)
        text = " * ".join(upper)
        if not lower:
            return text, _POWER if len(upper) == 1 else _PRODUCT
        return f"{text} / {lower[0]}" if len(lower) == 1 else f"{text} / ({' * '.join(lower)})", _PRODUCT

    def _power(self, operand: int, k: int) -> str:
        return self.at(operand, _POWER) if k == 1 else f"{self.at(operand, _ATOM)} ** {k}"


def _number(value: float) -> tuple[str, int]:
    """A number in at most 12 digits, or as a multiple of pi where that is shorter."""
    plain, turns = f"{value:.12g}", f"{value / math.pi:.12g}"
    if len(turns) + 5 < len(plain):
        return ("pi", _ATOM) if turns == "1" else (f"{turns} * pi", _PRODUCT)
    return plain, _ATOM
