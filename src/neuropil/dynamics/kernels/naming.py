"""What a traced equation calls its values, for readers: states, parameters and gradients by their names, short names for what is used twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, count

from neuropil.dynamics.kernels.program import IN_TORCH, ONE, TRUTHS, ZERO, Constant, Operand, Operation, Program
from neuropil.dynamics.kernels.trace import Side, Traced

SUMS, PRODUCTS = frozenset(("add", "sub", "neg")), frozenset(("mul", "div", "reciprocal"))
ARITHMETIC = (SUMS | PRODUCTS | TRUTHS | {"number", "pow", "step", "where"}) - {"isnan"}
"""The operations that are not written as the call of a function."""
_RESERVED = {"x", "y", "pi", "max", "min", *IN_TORCH} - ARITHMETIC


class Named:
    """One program for both directions, so that they share their values; which of these have names, and what names.

    ``outputs``: names and values; ``results``: the values that have the name of an output; ``once``: what depends on parameters alone; ``forwards``: what
    the new state and ``y`` need; ``reached``: all that any output needs; ``added_up``: the outputs that are sums over moments.
    """

    def __init__(self, traced: Traced, backward: bool) -> None:
        own = {f"own.{name}": name for name in traced.tensors}
        self.inputs = {"x": "x", **{long: long if name in _RESERVED else name for long, name in own.items()}}
        taken = {*_RESERVED, *own.values()}
        self.inputs |= {f"s.{field}": f"s.{field}" if field in taken else field for field in traced.fields}
        states = [self.inputs[f"s.{field}"] for field in traced.fields]
        self.inputs |= {f"g.{field}": f"{_gradient(name)}'" for field, name in zip(traced.fields, states, strict=True)}
        self.inputs["gradient"] = "dL/dy"
        self.program = Program([name for name in traced.backward.program.values if isinstance(name, str)])
        after = self.after = [*(f"{name}'" for name in states), "y"]
        self.outputs = list(zip(after, copied(traced.forward, self.program), strict=True))
        learnable = [_gradient(self.inputs[f"own.{name}"]) for name in traced.learnable]
        self.added_up = set(learnable)
        if backward:
            back = [*(_gradient(name) for name in (*states, "x")), *learnable]
            self.outputs += zip(back, copied(traced.backward, self.program), strict=True)
        self.once = self.program.only_from(own)
        self.forwards = self.program.needed(one for _, one in self.outputs[: len(after)] if one is not None)
        self.reached = sorted(self.program.needed(one for _, one in self.outputs if one is not None))
        self.results: dict[int, str] = {}
        for name, one in self.outputs:
            if isinstance(one, int) and operation_of(self.program, one) and one not in self.once and name not in self.added_up:
                self.results.setdefault(one, name)
        self.names = {place: self.inputs[value] for place, value in enumerate(self.program.values) if isinstance(value, str)} | self.results
        self._name_others(states)

    def _name_others(self, states: Sequence[str]) -> None:
        users: dict[int, list[int]] = {number: [] for number in self.reached}
        for name, output in self.outputs:
            if isinstance(output, int) and self.results.get(output) != name:
                users[output].append(-1)
        for user in reversed(self.reached):  # whoever uses minus a value uses the value
            operation = operation_of(self.program, user)
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
        operation = operation_of(self.program, number)
        assert operation is not None
        if number in self.once and ((not self.once.issuperset(users) and self._calls(number, named)) or self._meant(number)):
            return True
        return len(users) > 1 and operation.name != "neg" and not (number in self.forwards | self.once and self._short(number, named))

    def _short(self, number: int, named: set[int]) -> bool:
        """Whether a value is a sum of two that have names, or a multiple or reciprocal of one."""
        operation, parts = operation_of(self.program, number), self.program.made_of(number)
        if operation is None or operation.name in SUMS:
            return named.issuperset(parts)
        return operation.name in PRODUCTS and len(parts) == 1 and (parts[0] in named or self._short(parts[0], named))

    def _calls(self, number: int, named: set[int]) -> bool:
        """Whether the text of a value holds a function."""
        operation = operation_of(self.program, number)
        inner = (one for one in self.program.made_of(number) if one not in named)
        return operation is not None and (operation.name not in ARITHMETIC or any(self._calls(one, named) for one in inner))

    def _meant(self, number: int) -> str:
        """What ``exp(log_tau)`` and ``sigmoid(gate_logit)`` are called; nothing for other values."""
        operation, parts = operation_of(self.program, number), self.program.made_of(number)
        if operation is None or number not in self.once or len(parts) != 1 or operation_of(self.program, parts[0]):
            return ""
        module, dot, leaf = self.names[parts[0]].rpartition(".")
        short = {"exp": leaf.removeprefix("log_"), "sigmoid": leaf.removesuffix("_logit")}.get(operation.name, leaf)
        return f"{module}{dot}{short}" if short != leaf else ""

    def _name_the_way_to(self, state: str, named: set[int]) -> None:
        """Name ``v1``, ``v2``, ... what ``v'`` begins with."""
        number, way = next(one for name, one in self.outputs if name == f"{state}'"), list[int]()
        while (operation := operation_of(self.program, number)) and operation.name in ("add", "sub"):
            number = operation.operands[0]
            if isinstance(number, int) and number in named - self.once and number not in self.names:
                way.append(number)
        for number in reversed(way):
            self.names[number] = self._free(f"{state}{k}" for k in count(1))

    def _fresh(self, number: int, within: bool) -> str:
        operation = operation_of(self.program, number)
        assert operation is not None
        if number in self.once:
            tensors = [self.names[one] for one in self.program.needed([number]) if not operation_of(self.program, one)]
            alone = tensors[0].rpartition(".") if len(tensors) == 1 and not within else ("", "", "")
            function = f"{operation.name}_{alone[2]}" if operation.name not in ARITHMETIC and alone[2] else ""
            return self._free(chain(filter(None, [self._meant(number), alone[0], function]), (f"k{k}" for k in count(1))))
        if operation.name == "step":
            return self._free(chain(["step"], (f"step{k}" for k in count(2))))
        return self._free(chain("pqrwz", (f"p{k}" for k in count(1))) if number in self.forwards else (f"g{k}" for k in count(1)))

    def _free(self, names: Iterable[str]) -> str:
        taken = {*_RESERVED, *self.inputs.values(), *self.names.values(), *(name for name, _ in self.outputs)}
        return next(name for name in names if name not in taken)


def _gradient(name: str) -> str:
    return f"dL/d({name})" if "." in name else f"dL/d{name}"


def _logarithm(program: Program, operand: Operand) -> bool:
    """Whether a value is a parameter or buffer called ``log_...``."""
    value = program.values[operand] if isinstance(operand, int) else None
    return isinstance(value, str) and value.startswith("own.") and value.rpartition(".")[2].startswith("log_")


def operation_of(program: Program, operand: Operand | None) -> Operation | None:
    """The operation that makes a value; None for inputs and constants."""
    value = program.values[operand] if isinstance(operand, int) else None
    return value if isinstance(value, Operation) else None


def copied(side: Side, into: Program) -> list[Operand | None]:
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
    first, last = operation_of(program, operands[0]), operation_of(program, operands[-1])
    if name == "exp" and first and first.name == "neg" and _logarithm(program, first.operands[0]):
        return ("exp", "reciprocal"), first.operands
    if name == "rsqrt":
        return ("sqrt", "reciprocal"), operands
    if name == "pow" and operands[1] == Constant(0.5):
        return ("sqrt",), operands[:1]
    if name == "where" and first:
        u = first.operands[0]
        above, below = Operation("ge", (u, ZERO)), Operation("lt", (u, ZERO))
        both = {first, operation_of(program, last.operands[0])} if last and last.name == "where" and last.operands[1] == ZERO else {first}
        if last and both == {above, below}:
            if operands[1] == ZERO:
                return (), ()
            if first == above and operands[1] == ONE and last.operands[2] == u:
                return ("step",), (u,)
        if first.name in ("lt", "gt") and first.operands == (operands[2], operands[1]):
            return ("max" if first.name == "lt" else "min",), first.operands
    return (name,), operands
