"""A traced cell as the text of two loops over time, for Numba; run as plain Python they compute the same.

The layout is flat: inputs ``[T, M]`` with ``M`` all leading axes times features, states ``[M]``. Neurons are cut into pieces of ``width``, each taken
through all moments before the next, so that its states stay in the cache. Coefficients have one period of ``M``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from neuropil.dynamics.kernels.program import TRUTHS, Constant, Operand, Operation, Program
from neuropil.dynamics.kernels.trace import Side, Traced

Forms = Mapping[str, Callable[..., str]]
"""How a language writes each operation; truth values and numbers are two kinds, as in ``program.TRUTHS``."""
SAME_IN_ALL: Forms = {
    **{name: lambda a, b, sign=sign: f"({a} {sign} {b})" for name, sign in {"add": "+", "mul": "*", "sub": "-"}.items()},
    **{name: lambda a, b, sign=sign: f"({a} {sign} {b})" for name, sign in {"eq": "==", "ge": ">=", "gt": ">", "le": "<=", "lt": "<", "ne": "!="}.items()},
    "isnan": lambda a: f"({a} != {a})",
}  # fmt: skip
_FORMS: Forms = {
    **SAME_IN_ALL,
    **{name: lambda a, name=name: f"np.{name}({a})" for name in ("abs", "ceil", "cos", "exp", "expm1", "floor", "log", "log1p", "sin", "sqrt", "tanh")},
    "atan": lambda a: f"np.arctan({a})",
    "div": lambda a, b: f"({a} / {b})",
    "erf": lambda a: f"real(math.erf({a}))",
    "logical_and": lambda a, b: f"({a} and {b})",
    "logical_not": lambda a: f"(not {a})",
    "logical_or": lambda a, b: f"({a} or {b})",
    "maximum": lambda a, b: f"({a} if {a} > {b} or {a} != {a} else {b})",
    "minimum": lambda a, b: f"({a} if {a} < {b} or {a} != {a} else {b})",
    "neg": lambda a: f"(-{a})",
    "number": lambda a: f"(one if {a} else zero)",
    "pow": lambda a, b: f"({a} ** {b})",
    "reciprocal": lambda a: f"(one / {a})",
    "round": lambda a: f"np.rint({a})",
    "rsqrt": lambda a: f"(one / np.sqrt({a}))",
    "sigmoid": lambda a: f"(one / (one + np.exp(-{a})))",
    "sign": lambda a: f"(one if {a} > zero else (-one if {a} < zero else zero))",
    "where": lambda c, a, b: f"({a} if {c} else {b})",
}  # fmt: skip
_POWERS: dict[float, Callable[[Forms, str], str]] = {
    2.0: lambda f, a: f["mul"](a, a),
    3.0: lambda f, a: f["mul"](f["mul"](a, a), a),
    0.5: lambda f, a: f["sqrt"](a),
    -1.0: lambda f, a: f["reciprocal"](a),
    -2.0: lambda f, a: f["reciprocal"](f["mul"](a, a)),
}


class _Writer:
    """Writes the operations of one side as assignments to local names."""

    def __init__(self, side: Side, names: Mapping[str, str], coefficients: list[str], constants: dict[float, str], forms: Forms) -> None:
        self.program: Program = side.program
        self.forms = forms
        self.constants = constants
        self.held = {number: names[value] for number, value in enumerate(self.program.values) if isinstance(value, str) and value in names}
        self.held |= dict(zip(side.coefficients, coefficients, strict=True))

    def constant(self, value: float) -> str:
        if value in (0.0, 1.0):
            return "one" if value else "zero"
        return self.constants.setdefault(value, f"k{len(self.constants)}")

    def word(self, operand: Operand, truth: bool = False) -> str:
        if isinstance(operand, Constant):
            return str(bool(operand.value)) if truth else self.constant(operand.value)
        name, value = self.held[operand], self.program.values[operand]
        is_truth = isinstance(value, Operation) and value.name in TRUTHS
        if truth:
            return name if is_truth else f"({name} != zero)"
        return self.forms["number"](name) if is_truth else name

    def line(self, number: int) -> str:
        operation = self.program.values[number]
        assert isinstance(operation, Operation)
        name, operands = operation.name, operation.operands
        power = operands[1] if name == "pow" else None
        if isinstance(power, Constant) and power.value in _POWERS:
            text = _POWERS[power.value](self.forms, self.word(operands[0]))
        else:
            truths = (True,) * 2 if name.startswith("logical") else (name in ("where", "number"), False, False)
            text = self.forms[name](*(self.word(one, truth) for one, truth in zip(operands, truths, strict=False)))
        self.held[number] = f"v{number}"
        return f"v{number} = {text}"


def emit(traced: Traced, dtype: str, shared: tuple[tuple[bool, ...], tuple[bool, ...]] | None = None) -> str:
    """Write ``forward`` and ``backward`` for ``dtype`` (``"float32"`` or ``"float64"``) as the text of a module.

    ``forward(x, *states, y, *kept, *coefficients, *PLACE)`` leaves the last states in ``states`` [M]; where ``kept`` [.., M] is not empty, the states before
    every ``every``-th moment are put there. ``backward(x, *kept, gy, *g_states, gx, *g_own, *coefficients, *back_coefficients, *PLACE)`` takes states from
    there, computes those between again, and leaves the gradients of the first states in ``g_states``; ``g_own`` [M] are sums over time.
    ``PLACE``: ``every, span, period, pieces, width, first, last``; the last two say which pieces to do. ``shared`` says, for the coefficients of each side,
    which are one number for all neurons (of a replica) and not ``period`` of them. The loops over neurons are functions of their own (``..._row``), which
    is what lets the compiler turn them into vector instructions.
    """
    constants: dict[float, str] = {}
    s, gs, kept, own, c, b = names(traced)
    c_shared, b_shared = (set[str](), set[str]()) if shared is None else (_chosen(c, shared[0]), _chosen(b, shared[1]))
    named = locals_of(traced)
    lines, results = step(traced.forward, c, named, constants, _FORMS)
    back_lines, back = step(traced.backward, b, named, constants, _FORMS)
    after = [f"to_{name}" for name in s]
    rows = [
        *_row("forward_row", [*s, "x", *c], ["y"], lines, dict(zip((*s, "y"), results, strict=True)), c_shared),
        *_row("again_row", [*s, "x", *c], after, lines, dict(zip(after, results[:-1], strict=True)), c_shared),
        *_row(
            "backward_row",
            ["x", "gy", *s, *gs, *b],
            ["gx", *own],
            back_lines,
            dict(zip((*gs, "gx"), back, strict=False)),
            b_shared,
            dict(zip(own, back[len(s) + 1 :], strict=True)),
        ),
    ]
    text = [*rows, *_forward(s, kept, _coefficients(c, c_shared), c), *_backward(s, gs, kept, own, c, b, c_shared, b_shared)]
    lines = ["import math", "", "import numpy as np", "", f"real = np.{dtype}", "one, zero = real(1), real(0)"]
    return "\n".join([*lines, *(f"{name} = real({str(value)!r})" for value, name in constants.items()), *text, ""])


def names(traced: Traced) -> tuple[list[str], list[str], list[str], list[str], list[str], list[str]]:
    """What the arrays are called: states, gradients of states, kept states, gradients of own tensors, coefficients forwards and backwards."""
    count = len(traced.fields)
    sizes = {"s": count, "gs": count, "kept": count, "own": len(traced.learnable)}
    sizes |= {"c": len(traced.forward.coefficients), "b": len(traced.backward.coefficients)}
    s, gs, kept, own, c, b = ([f"{name}{place}" for place in range(size)] for name, size in sizes.items())
    return s, gs, kept, own, c, b


def locals_of(traced: Traced) -> dict[str, str]:
    """What the inputs of both programs are called in a moment."""
    s, gs, *_ = names(traced)
    own = {f"s.{field}": name for field, name in zip(traced.fields, s, strict=True)}
    return own | {f"g.{field}": name for field, name in zip(traced.fields, gs, strict=True)} | {"x": "x", "gradient": "gy"}


def _chosen(names: list[str], marks: Iterable[bool]) -> set[str]:
    return {name for name, mark in zip(names, marks, strict=True) if mark}


def _coefficients(names: list[str], shared: set[str]) -> list[str]:
    """How coefficients are handed to a row: one number of a replica, or those of the piece's neurons."""
    return [f"{name}[replica]" if name in shared else f"{name}[low:high]" for name in names]


def step(
    side: Side, coefficients: list[str], names: Mapping[str, str], constants: dict[float, str], forms: Forms
) -> tuple[list[str], list[str]]:
    """One moment of one side as assignments, and what its outputs are called; ``constants`` gets the numbers it needs, by name."""
    writer = _Writer(side, names, coefficients, constants, forms)
    lines = [writer.line(number) for number in side.body()]
    return lines, ["zero" if one is None else writer.word(one) for one in side.outputs]


def indented(lines: Iterable[str], by: int) -> list[str]:
    """The lines, ``by`` levels further in."""
    return ["    " * by + line for line in lines]


def _row(
    name: str,
    read: list[str],
    written: list[str],
    lines: list[str],
    put: dict[str, str],
    shared: set[str],
    added: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """One moment of one piece: arrays ``all_...`` in, numbers of the same names inside; what is ``shared`` is a number outside too."""
    arrays = [one if one in shared else f"all_{one}" for one in (*read, *written)]
    body = [f"{one} = all_{one}[j]" for one in read if one not in shared] + lines
    body += [f"all_{one}[j] = {result}" for one, result in put.items()]
    body += [f"all_{one}[j] += {result}" for one, result in added.items()]
    return ["", "", f"def {name}({', '.join(arrays)}):", f"    for j in range({arrays[0]}.shape[0]):", *indented(body, 2)]


PLACE = "every, span, period, pieces, width, first, last"
_PIECE = [
    "each = (span + period - 1) // period * pieces",
    "for piece in range(first, last):",
    "    replica, rest = piece // each, piece % each",
    "    start = replica * span + rest // pieces * period + rest % pieces * width",
    "    stop = min(start + width, replica * span + min((rest // pieces + 1) * period, span))",
    "    low = replica * period + rest % pieces * width",
    "    high = low + stop - start",
]


def _forward(s: list[str], kept: list[str], coefficients: list[str], c: list[str]) -> list[str]:
    out = [
        "",
        "",
        f"def forward({', '.join(['x', *s, 'y', *kept, *c, PLACE])}):",
        *indented(_PIECE, 1),
        "        for t in range(x.shape[0]):",
    ]
    out += [f"            if {kept[0]}.shape[0] > 0 and t % every == 0:"]
    out += indented([f"{name}[t // every, start:stop] = {state}[start:stop]" for name, state in zip(kept, s, strict=True)], 4)
    given = [*(f"{one}[start:stop]" for one in s), "x[t, start:stop]", *coefficients, "y[t, start:stop]"]
    return [*out, f"            forward_row({', '.join(given)})"]


def _backward(
    s: list[str], gs: list[str], kept: list[str], own: list[str], c: list[str], b: list[str], c_shared: set[str], b_shared: set[str]
) -> list[str]:
    out = ["", "", f"def backward({', '.join(['x', *kept, 'gy', *gs, 'gx', *own, *c, *b, PLACE])}):", *indented(_PIECE, 1)]
    out += indented([f"{one} = np.empty((every, stop - start), x.dtype)" for one in s], 2)
    out += indented(
        [
            "for block in range((x.shape[0] - 1) // every, -1, -1):",
            "    begin, end = block * every, min(block * every + every, x.shape[0])",
        ],
        2,
    )
    out += indented([f"{one}[0] = {name}[block, start:stop]" for one, name in zip(s, kept, strict=True)], 3)
    given = [*(f"{one}[t - begin]" for one in s), "x[t, start:stop]", *_coefficients(c, c_shared), *(f"{one}[t - begin + 1]" for one in s)]
    out += indented(["for t in range(begin, end - 1):", f"    again_row({', '.join(given)})"], 3)
    given = ["x[t, start:stop]", "gy[t, start:stop]", *(f"{one}[t - begin]" for one in s), *(f"{one}[start:stop]" for one in gs)]
    given += [*_coefficients(b, b_shared), "gx[t, start:stop]", *(f"{one}[start:stop]" for one in own)]
    return [*out, *indented(["for t in range(end - 1, begin - 1, -1):", f"    backward_row({', '.join(given)})"], 3)]
