"""Conditions on arm means, written as text so that they can be registered, printed and checked: ``"best.accuracy - untrained.accuracy >= 0.1"``."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING

from neuropil.atlas.errors import AtlasError

if TYPE_CHECKING:
    from neuropil.atlas.outcome import Table

_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.GtE: operator.ge,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.Lt: operator.lt,
}


class Condition:
    """One comparison (or chain such as ``0.3 <= a.x <= 0.9``) of numbers, ``arm.metric`` means, ``+ - * /`` and ``abs()``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.arms: list[str] = []
        try:
            body = ast.parse(text, mode="eval").body
        except SyntaxError:
            raise AtlasError(f"{text!r} is not a condition; write for example 'constant.accuracy >= 0.3'.") from None
        if not isinstance(body, ast.Compare) or not all(type(op) in _COMPARISONS for op in body.ops):
            raise AtlasError(f"{text!r} is not a comparison; write for example 'constant.accuracy >= 0.3', with >=, >, <= or <.")
        self._body = body
        for part in (body.left, *body.comparators):
            self._check(part)

    def _check(self, node: ast.expr) -> None:
        match node:
            case ast.Constant(value=int() | float()):
                pass
            case ast.Attribute(value=ast.Name(id=arm)):
                self.arms.append(arm)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                self._check(left)
                self._check(right)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                self._check(operand)
            case ast.Call(func=ast.Name(id="abs"), args=[argument], keywords=[]):
                self._check(argument)
            case _:
                raise AtlasError(f"{self.text!r} holds {ast.unparse(node)!r}; accepted are numbers, arm.metric, + - * / and abs().")

    def _value(self, node: ast.expr, table: Table) -> float:
        match node:
            case ast.Constant(value=value):
                return float(value)  # type: ignore[arg-type]
            case ast.Attribute(value=ast.Name(id=arm), attr=metric):
                return table.mean(arm, metric)
            case ast.BinOp(left=left, op=op, right=right):
                return _ARITHMETIC[type(op)](self._value(left, table), self._value(right, table))
            case ast.UnaryOp(operand=operand):
                return -self._value(operand, table)
            case ast.Call(args=[argument]):
                return abs(self._value(argument, table))
        raise AssertionError(ast.dump(node))

    def check(self, table: Table) -> tuple[bool, str]:
        """Say whether the condition holds on the arm means of ``table``, and the numbers it was decided on."""
        numbers = [self._value(part, table) for part in (self._body.left, *self._body.comparators)]
        holds = all(_COMPARISONS[type(op)](x, y) for op, x, y in zip(self._body.ops, numbers, numbers[1:], strict=False))
        return holds, " ".join(
            f"{number:.4g}" if index == 0 else f"{_sign(self._body.ops[index - 1])} {number:.4g}" for index, number in enumerate(numbers)
        )

    def __str__(self) -> str:
        return self.text


def _sign(op: ast.cmpop) -> str:
    return {ast.GtE: ">=", ast.Gt: ">", ast.LtE: "<=", ast.Lt: "<"}[type(op)]
