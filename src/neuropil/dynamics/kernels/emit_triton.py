"""A traced cell as the text of two Triton kernels, for GPUs; the operations and their order are those of ``emit``.

One program is a block of neurons: it reads its coefficients once and goes through all moments with its states in registers. The layout is flat: inputs
``[T, M]``, states ``[M]``, coefficients ``[replicas * N]``, or ``[replicas]`` where they are shared. Multiplications and additions must not be contracted
(launch with ``enable_fp_fusion=False``); divisions and roots are the correctly rounded ones, so that spikes are those of the steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from neuropil.dynamics.kernels.emit import SAME_IN_ALL, Forms, indented, locals_of, names, step
from neuropil.dynamics.kernels.program import TRUTHS, Operation
from neuropil.dynamics.kernels.trace import Side, Traced

_FORMS: Forms = {
    **SAME_IN_ALL,
    **{name: lambda a, name=name: f"libdevice.{name}({a})" for name in ("atan", "cos", "erf", "exp", "expm1", "log", "log1p", "sin", "tanh")},
    **{name: lambda a, name=name: f"tl.{name}({a})" for name in ("abs", "ceil", "floor")},
    "logical_and": lambda a, b: f"({a} & {b})",
    "logical_not": lambda a: f"(~{a})",
    "logical_or": lambda a, b: f"({a} | {b})",
    "maximum": lambda a, b: f"tl.where(({a} > {b}) | ({a} != {a}), {a}, {b})",
    "minimum": lambda a, b: f"tl.where(({a} < {b}) | ({a} != {a}), {a}, {b})",
    "neg": lambda a: f"({a} * (-one))",  # Triton's own minus is 0 - a, which loses the sign of zero
    "number": lambda a: f"tl.where({a}, one, zero)",
    "pow": lambda a, b: f"libdevice.pow({a}, {b})",
    "round": lambda a: f"libdevice.rint({a})",
    "sign": lambda a: f"tl.where({a} > zero, one, tl.where({a} < zero, -one, zero))",
    "where": lambda c, a, b: f"tl.where({c}, {a}, {b})",
}  # fmt: skip
SIZES = "moments, neurons, span, features, every"
"""Lengths of the arrays, neurons of one replica, features, moments between kept states."""
_OPTIONS = '@triton.jit(do_not_specialize=["moments", "span", "every"])'
_PLACE = [
    "m = tl.cast(tl.program_id(0), tl.int64) * BLOCK + tl.arange(0, BLOCK)",
    "inside = m < neurons",
    "row = tl.cast(neurons, tl.int64)",
    "replica, place = m // span, m // span * features + m % features",
]


def emit_triton(traced: Traced, dtype: str, shared: tuple[tuple[bool, ...], tuple[bool, ...]] | None = None) -> str:
    """Write ``forward`` and ``backward`` for ``dtype`` (``"float32"`` or ``"float64"``) as the text of a module.

    ``forward(x, *states, y, *kept, *coefficients, *SIZES, KEEP, BLOCK)`` leaves the last states in ``states`` [M]; with ``KEEP`` the states before every
    ``every``-th moment are put into ``kept`` [.., M]. ``backward(x, *kept, gy, *g_states, gx, *g_own, *coefficients, *back_coefficients, *again, *SIZES,
    AGAIN, BLOCK)`` leaves the gradients of the first states in ``g_states`` and adds those of own tensors to ``g_own`` [M]. With ``AGAIN`` the states between
    two kept ones are computed again into ``again`` [every, M], memory of the device, since registers and shared memory hold too few moments; without it
    ``kept`` holds all of them, and ``every`` is ``moments``.
    """
    s, gs, kept, own, c, b = names(traced)
    c_shared, b_shared = ((False,) * len(c), (False,) * len(b)) if shared is None else shared
    forms, named = {**_FORMS, **_exact(dtype)}, locals_of(traced)
    again = [f"again{place}" for place in range(len(s))]
    constants: dict[float, str] = {}
    lines, results = step(traced.forward, c, named, constants, forms)
    after = f"{_all(s)} = {_all(results[:-1])}"
    reads = _coefficients(traced.forward, c, c_shared)
    forward = [
        *_head("forward", ["x", *s, "y", *kept, *c], "KEEP", constants, dtype),
        *indented([*reads, *(_read(one, "m") for one in s), "for t in range(moments):"], 1),
        *indented(["if KEEP:", "    if t % every == 0:"], 2),
        *indented([_write(name, "t // every * row + m", state) for name, state in zip(kept, s, strict=True)], 4),
        *indented([_read("x", "t * row + m"), *lines, _write("y", "t * row + m", results[-1]), after], 2),
        *indented([_write(one, "m", one) for one in s], 1),
    ]
    back_lines, back = step(traced.backward, b, named, constants, forms)
    states, gx, sums = back[: len(s)], back[len(s)], back[len(s) + 1 :]
    backward = [
        *_head("backward", ["x", *kept, "gy", *gs, "gx", *own, *c, *b, *again], "AGAIN", constants, dtype),
        *indented([*reads, *_coefficients(traced.backward, b, b_shared), *(_read(one, "m") for one in (*gs, *own))], 1),
        *indented([f"from_{name} = all_{one} if AGAIN else all_{name}" for name, one in zip(kept, again, strict=True)], 1),
        "    blocks = (moments + every - 1) // every",
        "    for done in range(blocks):",
        "        begin = (blocks - 1 - done) * every",
        "        size = tl.minimum(every, moments - begin)",
        "        if AGAIN:",
        *indented([_read(one, "(blocks - 1 - done) * row + m", f"all_{name}") for one, name in zip(s, kept, strict=True)], 3),
        "            for t in range(size - 1):",
        *indented([_write(name, "t * row + m", one) for name, one in zip(again, s, strict=True)], 4),
        *indented([_read("x", "(begin + t) * row + m"), *lines, after], 4),
        *indented([_write(name, "(size - 1) * row + m", one) for name, one in zip(again, s, strict=True)], 3),
        "            tl.debug_barrier()",
        "        for gone in range(size):",
        "            t = size - 1 - gone",
        *indented([_read(one, "t * row + m", f"from_{name}") for one, name in zip(s, kept, strict=True)], 3),
        *indented([_read(one, "(begin + t) * row + m") for one in ("x", "gy")], 3),
        *indented([*back_lines, _write("gx", "(begin + t) * row + m", gx)], 3),
        *indented([f"{one} = {one} + {result}" for one, result in zip(own, sums, strict=True)], 3),
        f"            {_all(gs)} = {_all(states)}",
        "        tl.debug_barrier()",
        *indented([_write(one, "m", one) for one in (*gs, *own)], 1),
    ]
    imports = ["import triton", "import triton.language as tl", "from triton.language.extra import libdevice"]
    return "\n".join([*imports, *forward, *backward, ""])


def _exact(dtype: str) -> Forms:
    """Division and roots as IEEE has them: in float32 Triton's plain ones are approximate."""
    single = dtype == "float32"

    def div(a: str, b: str) -> str:
        return f"tl.div_rn({a}, {b})" if single else f"({a} / {b})"

    def sqrt(a: str) -> str:
        return f"tl.sqrt_rn({a})" if single else f"tl.sqrt({a})"

    return {
        "div": div,
        "sqrt": sqrt,
        "reciprocal": lambda a: div("one", a),
        "rsqrt": lambda a: div("one", sqrt(a)),
        "sigmoid": lambda a: div("one", f"(one + libdevice.exp({_FORMS['neg'](a)}))"),
    }


def _all(names: Iterable[str]) -> str:
    return ", ".join(names)


def _head(name: str, arrays: list[str], option: str, constants: Mapping[float, str], dtype: str) -> list[str]:
    """A kernel's beginning: arrays ``all_...``, the numbers of its neurons, constants as blocks of the right dtype."""
    numbers = {"zero": 0.0, "one": 1.0} | {constant: value for value, constant in constants.items()}
    blocks = [f'{one} = tl.full((BLOCK,), float("{value}"), tl.{dtype})' for one, value in numbers.items()]
    given = [*(f"all_{one}" for one in arrays), SIZES, f"{option}: tl.constexpr", "BLOCK: tl.constexpr"]
    return ["", "", _OPTIONS, f"def {name}({_all(given)}):", *indented([*_PLACE, *blocks], 1)]


def _read(name: str, place: str, array: str | None = None) -> str:
    return f"{name} = tl.load({array or f'all_{name}'} + {place}, mask=inside, other=0.0)"


def _write(name: str, place: str, value: str) -> str:
    return f"tl.store(all_{name} + {place}, {value}, mask=inside)"


def _coefficients(side: Side, names: list[str], shared: tuple[bool, ...]) -> list[str]:
    """Read each once; what is true or false in the program is so again."""
    lines = []
    for number, name, common in zip(side.coefficients, names, shared, strict=True):
        lines.append(_read(name, "replica" if common else "place"))
        value = side.program.values[number]
        if isinstance(value, Operation) and value.name in TRUTHS:
            lines.append(f"{name} = {name} != zero")
    return lines
