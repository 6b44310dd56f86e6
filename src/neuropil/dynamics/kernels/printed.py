"""A traced equation as text for readers: names, infix, as few parentheses as it takes; every line is Python but for its names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, count

from neuropil.dynamics.kernels.program import IN_TORCH, ONE, TRUTHS, ZERO, Constant, Operand, Operation, Program
from neuropil.dynamics.kernels.trace import Side, Traced

_CHOICE, _OR, _AND, _NOT, _COMPARED, _SUM, _PRODUCT, _POWER, _ATOM = range(9)
_SIGNS = {"eq": "==", "ge": ">=", "gt": ">", "le": "<=", "lt": "<", "ne": "!="}
_SUMS, _PRODUCTS = {"add", "sub", "neg"}, {"mul", "div", "reciprocal"}
_ARITHMETIC = (_SUMS | _PRODUCTS | TRUTHS | {"number", "pow", "step", "where"}) - {"isnan"}
_RESERVED = {"x", "y", "pi", "max", "min", *IN_TORCH} - _ARITHMETIC
_TURNED = {"ge": "le", "gt": "lt", "le": "ge", "lt": "gt"}
_CALLED = {"maximum": "max", "minimum": "min"}


def printed(traced: Traced, backward: bool = False) -> str:
    """Write a traced cell as a textbook would: what is computed once from parameters, then one moment.

    A state is named by its field, after the moment with a prime. Values needed more than once have short names; ``v1`` is on its way to become
    ``v'``. The step of a surrogate is ``1 if u >= 0 else 0``, where NaN stays NaN. With ``backward`` also what the moment gives back: ``dL/dx`` for
    the loss ``L``, from ``dL/dy`` and the ``dL/dv'`` of the moment after it; gradients of parameters add up (``+=``) over moments and neurons.
    """
    return _Printer(traced, backward).text()


Term = tuple[float, tuple[int, ...], tuple[int, ...]]
"""A number times values over values."""


class _Printer:
    """One program for both directions, so that they share their values; which of these have names, and what names."""

    def __init__(self, traced: Traced, backward: bool) -> None:
        own = {f"own.{name}": name for name in traced.tensors}
        self.inputs = {"x": "x", **{long: long if name in _RESERVED else name for long, name in own.items()}}
        taken = {*_RESERVED, *own.values()}
        self.inputs |= {f"s.{field}": f"s.{field}" if field in taken else field for field in traced.fields}
        states = [self.inputs[f"s.{field}"] for field in traced.fields]
        self.inputs |= {f"g.{field}": f"{_gradient(name)}'" for field, name in zip(traced.fields, states, strict=True)} | {
            "gradient": "dL/dy"
        }
        self.program = Program([name for name in traced.backward.program.values if isinstance(name, str)])
        after = self.after = [*(f"{name}'" for name in states), "y"]
        self.outputs = list(zip(after, _copied(traced.forward, self.program), strict=True))
        learnable = [_gradient(self.inputs[f"own.{name}"]) for name in traced.learnable]
        self.added_up = set(learnable)
        if backward:
            back = [*(_gradient(name) for name in (*states, "x")), *learnable]
            self.outputs += zip(back, _copied(traced.backward, self.program), strict=True)
        self.once = self.program.only_from(own)
        self.forwards = self.program.needed(one for _, one in self.outputs[: len(after)] if one is not None)
        self.reached = sorted(self.program.needed(one for _, one in self.outputs if one is not None))
        self.results: dict[int, str] = {}
        for name, one in self.outputs:
            if isinstance(one, int) and _operation(self.program, one) and one not in self.once and name not in self.added_up:
                self.results.setdefault(one, name)
        self.names = {place: self.inputs[value] for place, value in enumerate(self.program.values) if isinstance(value, str)} | self.results
        self._name_others(states)

    def _name_others(self, states: Sequence[str]) -> None:
        users: dict[int, list[int]] = {number: [] for number in self.reached}
        for name, output in self.outputs:
            if isinstance(output, int) and self.results.get(output) != name:
                users[output].append(-1)
        for user in reversed(self.reached):  # whoever uses minus a value uses the value
            operation = _operation(self.program, user)
            for one in self.program.made_of(user):
                users[one] += users[user] if operation and operation.name == "neg" and user not in self.results else [user]
        named = set(self.names)
        for number in self.reached:  # what a value is made of comes before it
            if number not in named and self._wants_a_name(number, users[number], named):
                named.add(number)
        for state in states:
            self._name_the_way_to(state, named)
        for number in sorted(named - set(self.names)):
            self.names[number] = self._fresh(number, self.once.issuperset(users[number]))

    def _wants_a_name(self, number: int, users: Sequence[int], named: set[int]) -> bool:
        operation = _operation(self.program, number)
        assert operation is not None
        if number in self.once and ((not self.once.issuperset(users) and self._calls(number, named)) or self._meant(number)):
            return True
        return len(users) > 1 and operation.name != "neg" and not (number in self.forwards | self.once and self._short(number, named))

    def _short(self, number: int, named: set[int]) -> bool:
        """Whether a value is a sum of two that have names, or a multiple or reciprocal of one."""
        operation, parts = _operation(self.program, number), self.program.made_of(number)
        if operation is None or operation.name in _SUMS:
            return named.issuperset(parts)
        return operation.name in _PRODUCTS and len(parts) == 1 and (parts[0] in named or self._short(parts[0], named))

    def _calls(self, number: int, named: set[int]) -> bool:
        """Whether the text of a value holds a function."""
        operation = _operation(self.program, number)
        inner = (one for one in self.program.made_of(number) if one not in named)
        return operation is not None and (operation.name not in _ARITHMETIC or any(self._calls(one, named) for one in inner))

    def _meant(self, number: int) -> str:
        """What ``exp(log_tau)`` and ``sigmoid(gate_logit)`` are called; nothing for other values."""
        operation, parts = _operation(self.program, number), self.program.made_of(number)
        if operation is None or number not in self.once or len(parts) != 1 or _operation(self.program, parts[0]):
            return ""
        module, dot, leaf = self.names[parts[0]].rpartition(".")
        short = {"exp": leaf.removeprefix("log_"), "sigmoid": leaf.removesuffix("_logit")}.get(operation.name, leaf)
        return f"{module}{dot}{short}" if short != leaf else ""

    def _name_the_way_to(self, state: str, named: set[int]) -> None:
        """Name ``v1``, ``v2``, ... what ``v'`` begins with."""
        number, way = next(one for name, one in self.outputs if name == f"{state}'"), list[int]()
        while (operation := _operation(self.program, number)) and operation.name in ("add", "sub"):
            number = operation.operands[0]
            if isinstance(number, int) and number in named - self.once and number not in self.names:
                way.append(number)
        for number in reversed(way):
            self.names[number] = self._free(f"{state}{k}" for k in count(1))

    def _fresh(self, number: int, within: bool) -> str:
        operation = _operation(self.program, number)
        assert operation is not None
        if number in self.once:
            tensors = [self.names[one] for one in self.program.needed([number]) if not _operation(self.program, one)]
            modules = [name.rpartition(".")[0] for name in tensors if "." in name and len(tensors) == 1 and not within]
            return self._free(chain(filter(None, [self._meant(number), *modules]), (f"k{k}" for k in count(1))))
        if operation.name == "step":
            return self._free(chain(["step"], (f"step{k}" for k in count(2))))
        return self._free(chain("pqrwz", (f"p{k}" for k in count(1))) if number in self.forwards else (f"g{k}" for k in count(1)))

    def _free(self, names: Iterable[str]) -> str:
        taken = {*_RESERVED, *self.inputs.values(), *self.names.values(), *(name for name, _ in self.outputs)}
        return next(name for name in names if name not in taken)

    def text(self) -> str:
        """All lines under their headings."""
        once, moment, back = list[str](), list[str](), list[str]()
        for number in self.reached:
            if number in self.names and _operation(self.program, number):
                lines = once if number in self.once else moment if number in self.forwards else back
                lines.append(f"{self.names[number]} = {self.render(number, named=False)[0]}")
        for name, one in self.outputs:
            if not isinstance(one, int) or self.results.get(one) != name:
                text = "0" if one is None else self.render(one)[0]
                lines = moment if name in self.after else back
                lines.append(f"{name} {'+=' if name in self.added_up else '='} {text}")
        sections = {"once, from the parameters": once, "each moment": moment, "back through each moment": back}
        return "\n".join(
            line for heading, lines in sections.items() if lines for line in (f"{heading}:", *(f"    {line}" for line in lines))
        )

    def at(self, operand: Operand, level: int) -> str:
        """A value as part of something that binds as strongly as ``level``."""
        text, binds = self.render(operand)
        return f"({text})" if binds < level else text

    def render(self, operand: Operand, named: bool = True) -> tuple[str, int]:
        """The text of a value, by its name where it has one and may be ``named``, and how strongly it binds."""
        operation = None if operand in self.names and named else _operation(self.program, operand)
        if operation is None or operation.name in _SUMS | _PRODUCTS:
            return self._sum(self.terms(operand, named))
        name, operands = operation.name, operation.operands
        if name in ("step", "where", "number"):
            condition = self._compared(operands[0], ZERO, "ge") if name == "step" else self.at(operands[0], _OR)
            one, other = operands[1:] if name == "where" else (ONE, ZERO)
            return f"{self.at(one, _OR)} if {condition} else {self.at(other, _CHOICE)}", _CHOICE
        if name in _SIGNS:
            return self._compared(operands[0], operands[1], name), _COMPARED
        if name in ("logical_and", "logical_or"):
            level, word = (_AND, " and ") if name == "logical_and" else (_OR, " or ")
            return word.join(self.at(one, level + 1) for one in operands), level
        if name == "logical_not":
            return f"not {self.at(operands[0], _NOT)}", _NOT
        if name == "pow":
            return f"{self.at(operands[0], _ATOM)} ** {self.at(operands[1], _ATOM)}", _POWER
        return f"{_CALLED.get(name, name)}({', '.join(self.at(one, _CHOICE) for one in operands)})", _ATOM

    def _compared(self, one: Operand, other: Operand, name: str) -> str:
        """A comparison; one with 0 has what is taken away on the other side of the sign."""
        if other != ZERO:
            return f"{self.at(one, _SUM)} {_SIGNS[name]} {self.at(other, _SUM)}"
        terms = self.terms(one)
        ups, downs = [term for term in terms if term[0] > 0], [term for term in terms if term[0] <= 0]
        if not any(above or below for _, above, below in ups):
            ups, downs, name = downs, ups, _TURNED.get(name, name)
        left, right = (self._sum([(abs(number), above, below) for number, above, below in side])[0] for side in (ups, downs))
        return f"{left} {_SIGNS[name]} {right}"

    def terms(self, operand: Operand, named: bool = True) -> list[Term]:
        """A value as a sum of products, like ones put together."""
        operation, found = (
            None if operand in self.names and named else _operation(self.program, operand),
            dict[tuple[tuple[int, ...], tuple[int, ...]], float](),
        )
        if operation is None or operation.name not in _SUMS:
            return [self._factors(operand, named)]
        for sign, one in zip(
            (1, -1) if operation.name == "sub" else (-1,) if operation.name == "neg" else (1, 1), operation.operands, strict=True
        ):
            for number, *values in self.terms(one):
                above, below = values
                key = next((key for key in found if [*map(Counter, key)] == [Counter(above), Counter(below)]), (above, below))
                found[key] = found.get(key, 0.0) + sign * number
        return [(number, *key) for key, number in found.items() if number] or [(0.0, (), ())]

    def _factors(self, operand: Operand, named: bool = True) -> Term:
        if isinstance(operand, Constant):
            return operand.value, (), ()
        operation = None if operand in self.names and named else _operation(self.program, operand)
        if operation is None or operation.name not in _PRODUCTS | {"neg"}:
            return 1.0, (operand,), ()
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
            term = f"({term})" if binds < _PRODUCT and (len(terms) > 1 or number < 0) else term
            text += (f" {'+' if number >= 0 else '-'} " if text else "-" * (number < 0)) + term
        return text, _SUM if len(terms) > 1 or terms[0][0] < 0 else binds

    def _product(self, number: float, above: Sequence[int], below: Sequence[int]) -> tuple[str, int]:
        if number == 1 and len(above) == 1 and not below:
            return self._unnamed(above[0])
        parts = [
            [self.at(one, _POWER) if k == 1 else f"{self.at(one, _ATOM)} ** {k}" for one, k in Counter(side).items()]
            for side in (above, below)
        ]
        if number != 1 or not parts[0]:
            text, binds = _number(number)
            if not above and not below:
                return text, binds
            parts[0].insert(0, text)
        upper, lower = (" * ".join(part) for part in parts)
        text = upper if not below else f"{upper} / ({lower})" if len(parts[1]) > 1 else f"{upper} / {lower}"
        return text, _POWER if len(parts[0]) == 1 and not below else _PRODUCT

    def _unnamed(self, number: int) -> tuple[str, int]:
        return (self.names[number], _ATOM) if number in self.names else self.render(number)


def _gradient(name: str) -> str:
    return f"dL/d({name})" if "." in name else f"dL/d{name}"


def _number(value: float) -> tuple[str, int]:
    """A number in at most 12 digits, or as a multiple of pi where that is shorter."""
    plain, turns = f"{value:.12g}", f"{value / math.pi:.12g}"
    if len(turns) + 5 < len(plain):
        return ("pi", _ATOM) if turns == "1" else (f"{turns} * pi", _PRODUCT)
    return plain, _ATOM


def _logarithm(program: Program, operand: Operand) -> bool:
    """Whether a value is a parameter or buffer called ``log_...``."""
    value = program.values[operand] if isinstance(operand, int) else None
    return isinstance(value, str) and value.startswith("own.") and value.rpartition(".")[2].startswith("log_")


def _operation(program: Program, operand: Operand | None) -> Operation | None:
    """The operation that makes a value; None for inputs and constants."""
    value = program.values[operand] if isinstance(operand, int) else None
    return value if isinstance(value, Operation) else None


def _copied(side: Side, into: Program) -> list[Operand | None]:
    """The outputs of a side in another program, where its values are copied, steps, bounds and reciprocals being recognised."""
    held: dict[int, Operand] = {}
    for number in sorted(side.program.needed(one for one in side.outputs if one is not None)):
        value = side.program.values[number]
        if isinstance(value, str):
            held[number] = into.values.index(value)
            continue
        names, operands = _recognised(side.program, value)
        held[number] = ZERO
        operands = tuple(held[one] if isinstance(one, int) else one for one in operands)
        for name in names:
            held[number] = into.add(name, *operands)
            operands = (held[number],)
    return [held[one] if isinstance(one, int) else one for one in side.outputs]


def _recognised(program: Program, value: Operation) -> tuple[tuple[str, ...], tuple[Operand, ...]]:
    """What an operation is together with those before it, as operations one after another; none where it is 0 save for NaN."""
    name, operands = value.name, value.operands
    first, last = _operation(program, operands[0]), _operation(program, operands[-1])
    if name == "exp" and first and first.name == "neg" and _logarithm(program, first.operands[0]):
        return ("exp", "reciprocal"), first.operands
    if name == "rsqrt":
        return ("sqrt", "reciprocal"), operands
    if name == "pow" and operands[1] == Constant(0.5):
        return ("sqrt",), operands[:1]
    if name == "where" and first:
        u = first.operands[0]
        above, below = Operation("ge", (u, ZERO)), Operation("lt", (u, ZERO))
        if last and last.name == "where" and last.operands[1] == ZERO and {first, _operation(program, last.operands[0])} == {above, below}:
            if operands[1] == ZERO:
                return (), ()
            if first == above and operands[1] == ONE and last.operands[2] == u:
                return ("step",), (u,)
        if first.name in ("lt", "gt") and first.operands == (operands[2], operands[1]):
            return ("max" if first.name == "lt" else "min",), first.operands
    return (name,), operands
