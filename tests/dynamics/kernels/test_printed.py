"""The printed equation, read as Python, is what a step and autograd compute; and it is what a textbook would print."""

import ast
import math
import re
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import neuropil.cells  # noqa: F401
from neuropil.cells import LIF, ExponentialIF, Izhikevich, LeakyRate, PhaseOscillator, RefractoryLIF
from neuropil.dynamics import Cell, heaviside
from neuropil.dynamics.kernels.printed import printed
from neuropil.dynamics.kernels.program import IN_TORCH, TRUTHS, Constant, Operation, Program
from neuropil.dynamics.kernels.trace import Side, Traced, own_by_name
from neuropil.dynamics.registry import CELLS

ELEMENTWISE = [pytest.param(part.small, id=part.name) for part in CELLS if part.make.update is not Cell.update]
SCOPE = {
    name: getattr(np, name) for name in ("ceil", "cos", "exp", "expm1", "floor", "isnan", "log", "log1p", "sign", "sin", "sqrt", "tanh")
}
SCOPE |= {"abs": abs, "atan": np.arctan, "erf": math.erf, "max": max, "min": min, "pi": math.pi, "round": np.rint}
SCOPE |= {"sigmoid": lambda v: 1 / (1 + np.exp(-v)), "inf": math.inf, "nan": math.nan}
NAME = re.compile(r"dL/d\([\w.]+\)'?|dL/d[\w.]+'?|[A-Za-z_][\w.]*'?")


def python(text):
    """The same with names that Python takes, whatever the name: ``dL/dv'``, ``decay.log_tau``, ``lambda``."""
    words = SCOPE.keys() | {"if", "else", "and", "or", "not"}
    return NAME.sub(lambda found: found[0] if found[0] in words else name(found[0]), text)


def name(printed):
    return "name_" + "".join(sign if sign.isalnum() else f"_{ord(sign)}_" for sign in printed)


def lines(text):
    return [line.strip().replace(" += ", " = ").split(" = ") for line in text.splitlines() if not line.endswith(":")]


def check(cell, drive, seed):
    """One neuron at a time: the text as Python beside a step in torch and its gradients."""
    cell = cell.double().use(backend="torch")
    generator = torch.Generator().manual_seed(seed)
    noise = lambda: torch.rand(4, generator=generator, dtype=torch.float64)  # noqa: E731
    x = (drive * (noise() - 0.3)).requires_grad_()
    s = cell.State(*((rest + drive * (noise() - 0.4)).round(decimals=3).requires_grad_() for rest in cell.initial_like(x)))
    own = {long: tensor.requires_grad_() for long, tensor in own_by_name(cell)}
    y, after = cell.step(x, s)
    gy, gs = noise(), [noise() for _ in s]
    given = [x, *s, *own.values()]
    loss = sum((one * g).sum() for one, g in zip((y, *after), (gy, *gs), strict=True))
    gradients = torch.autograd.grad(loss, given, allow_unused=True, materialize_grads=True)
    text = cell.equation(backward=True)
    states = [field if f"\n    {field}' = " in text else f"s.{field}" for field in cell.State._fields]
    called = [*states, *(long if f"own.{long}" not in text else f"own.{long}" for long in own)]
    learnable = {long for long, _ in cell.named_parameters()}
    sums = dict.fromkeys(learnable, 0.0)
    for k in range(4):
        scope = dict(SCOPE) | {name("x"): x[k].item(), name("dL/dy"): gy[k].item()}
        scope |= {name(word): tensor.expand(4)[k].item() for word, tensor in zip(called, (*s, *own.values()), strict=True)}
        scope |= {name(f"dL/d({word})'" if "." in word else f"dL/d{word}'"): g[k].item() for word, g in zip(states, gs, strict=True)}
        known = set(scope)
        for word, expression in lines(text):
            assert name(word) not in known, f"{word} is given twice"
            known.add(name(word))
            scope[name(word)] = eval(python(expression), {}, scope)
        close = {"rel": 1e-9, "abs": 1e-9}
        assert scope[name("y")] == pytest.approx(y[k].item(), **close)
        assert [scope[name(f"{word}'")] for word in states] == pytest.approx([one[k].item() for one in after], **close)
        back = [scope[name(f"dL/d({word})" if "." in word else f"dL/d{word}")] for word in ("x", *states)]
        assert back == pytest.approx([one[k].item() for one in gradients[: 1 + len(s)]], **close)
        for long, word in zip(own, called[len(states) :], strict=True):
            gradient = scope.get(name(f"dL/d({word})" if "." in word else f"dL/d{word}"))
            assert (gradient is not None) == (long in learnable)
            if gradient is not None:
                sums[long] = sums[long] + np.eye(4)[k] * gradient if own[long].ndim else sums[long] + gradient
    for long, gradient in zip(own, gradients[1 + len(s) :], strict=True):
        if long in learnable:
            np.testing.assert_allclose(sums[long], gradient.numpy(), rtol=1e-9, atol=1e-9)


def learnable(cell):
    """The same cell with every buffer a parameter."""
    for module in cell.modules():
        for short, tensor in list(module._buffers.items()):
            del module._buffers[short]
            module.register_parameter(short, nn.Parameter(tensor))
    return cell


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("small", ELEMENTWISE)
def test_the_text_of_every_cell_is_its_step_and_its_gradients(small, seed):
    drive = {"ExponentialIF": 60.0, "Izhikevich": 30.0, "QuadraticIF": 20.0}.get(type(small()).__name__, 3.0)
    check(learnable(small()), drive, seed)


@pytest.mark.parametrize("small", ELEMENTWISE)
def test_no_parentheses_without_need(small):
    no_idle_parentheses(small().equation(backward=True))


def no_idle_parentheses(printed_text):
    """Without any one pair that calls nothing the text means something else, or nothing."""
    for _, expression in lines(printed_text):
        text, open_at = python(expression), []
        for place, sign in enumerate(text):
            if sign == "(":
                open_at.append(place)
            elif sign == ")" and not re.search(r"\w$", text[: (first := open_at.pop())]):
                without = f"{text[:first]} {text[first + 1 : place]} {text[place + 1 :]}"
                assert _tree(without) != _tree(text), expression


def _tree(text):
    try:
        return ast.dump(ast.parse(text.strip()))
    except SyntaxError:
        return None


def test_a_leaky_integrate_and_fire_neuron_and_what_it_gives_back():
    cell = LIF(dt=1e-3)
    cell.threshold = nn.Parameter(cell.threshold)
    assert cell.equation(backward=True) == """\
once, from the parameters:
    decay.tau = exp(decay.log_tau)
    decay = exp(-0.001 / decay.tau)
each moment:
    v1 = decay * v + x
    y = 1 if v1 >= threshold else 0
    v' = v1 - y * threshold
back through each moment:
    g1 = (dL/dy - dL/dv' * threshold) / (10 * abs(v1 - threshold) + 1) ** 2
    dL/dx = dL/dv' + g1
    dL/dv = dL/dx * decay
    dL/dthreshold += -dL/dv' * y - g1"""  # fmt: skip


MOMENTS = {
    LeakyRate: ["h' = decay * h + (1 - decay) * x", "y = tanh(h')"],
    PhaseOscillator: ["theta' = theta + 0.001 * (2 * pi * hertz + x)", "y = theta'"],
    Izhikevich: ["v1 = v + 0.5 * (0.04 * v ** 2 + 5 * v + 140 + x - u)", "v2 = v1 + 0.5 * (0.04 * v1 ** 2 + 5 * v1 + 140 + x - u)",
                 "y = 1 if v2 >= 30 else 0", "v' = v2 - y * (v2 - c)", "u' = u + a * (b * v2 - u) + y * d"],
    RefractoryLIF: ["step = 1 if left <= 0 else 0", "v1 = v + step * (decay * v + x - v)", "y = step * (1 if v1 >= threshold else 0)",
                    "v' = v1 - y * threshold", "left' = max(left - 1, 0) + 2 * y"],
}  # fmt: skip


@pytest.mark.parametrize("cell", MOMENTS, ids=lambda cell: cell.__name__)
def test_moments_as_a_textbook_prints_them(cell):
    assert [line.strip() for line in cell(dt=1e-3).equation().split("each moment:\n")[1].splitlines()] == MOMENTS[cell]


def test_without_parameters_nothing_is_computed_once():
    assert ExponentialIF(dt=1e-4).equation().startswith("each moment:")


class Clashing(Cell):
    """Fields and parameters named like the input, the output, functions and words of Python; outputs that are inputs, numbers or unused."""

    class State(NamedTuple):
        x: Tensor
        exp: Tensor
        k: Tensor

    def __init__(self):
        super().__init__(4)
        self.y, self.k, self.spare = (nn.Parameter(torch.tensor(value)) for value in (0.3, 0.7, 1.0))
        setattr(self, "lambda", nn.Parameter(torch.tensor([0.4, -0.2, 0.1, 1.0])))

    def update(self, s, x):
        a = torch.exp(s.x * x + self.y) * torch.rsqrt(1 + self.k * self.k) + getattr(self, "lambda")
        b = torch.where((a > 1) & ~(x > 0.5) | (s.k != x), torch.maximum(a, x), torch.atan(a) / (a * a + 1)) - heaviside(2 - s.k)
        return self.State(s.exp - (a - b) * 2**-0.5, s.x, torch.zeros_like(x)), b**3 / -3


@pytest.mark.parametrize("seed", range(3))
def test_names_that_clash_and_operations_no_registered_cell_has(seed):
    check(Clashing(), 2.0, seed)
    text = Clashing().equation(backward=True)
    assert "    s.exp' = s.x\n" in text
    assert "    s.k' = 0\n" in text
    assert "(1 if s.k <= 2 else 0)" in text
    assert "    dL/dspare += 0\n" in text


class Gated(Cell):
    """A choice within a comparison, powers below and in an exponent, two divisors, words one in the other."""

    class State(NamedTuple):
        v: Tensor

    def update(self, s, x):
        chosen = torch.where((x > 0.5) | ((x < 0) | (s.v > x)) & (s.v > 2), s.v, 0.1 * x)
        return self.State(s.v**-3 + 2.0 ** (-x) + 2.0 ** (x**2) - s.v / x / (2 - s.v)), heaviside(chosen)


def test_parentheses_where_they_are_needed():
    assert (
        Gated(4).equation()
        == """\
each moment:
    v' = v ** -3 + 2 ** -x + 2 ** x ** 2 - v / (x * (2 - v))
    y = 1 if (v if x > 0.5 or (x < 0 or v > x) and v > 2 else 0.1 * x) >= 0 else 0"""
    )
    check(Gated(4), 2.0, 0)


def test_a_cell_that_is_not_pointwise_has_no_equation():
    class Mixing(LIF):
        def update(self, s, x):
            return self.State(s.v.flip(-1)), x

    with pytest.raises(ValueError, match="flip"):
        Mixing(4, dt=1e-3).equation()


WANTS = {name: 3 if name == "where" else 2 if name in ("add", "div", "maximum", "minimum", "mul", "pow", "sub") else 1 for name in IN_TORCH}
WANTS |= dict.fromkeys(("eq", "ge", "gt", "le", "logical_and", "logical_or", "lt", "ne"), 2)
CALLED = {"s.v": "v", "x": "x", "own.k": "k", "own.decay.log_tau": "decay.log_tau", "g.v": "dL/dv'", "gradient": "dL/dy"}
drawn = st.lists(st.tuples(st.sampled_from(sorted(set(WANTS) - {"number"})), *[st.integers(0, 99)] * 3), min_size=4, max_size=9)


def side(inputs, operations, outputs):
    """A program of drawn operations, each on earlier values, inputs or constants, whose last values are put out."""
    program = Program(inputs)
    values = [*(Constant(one) for one in (0.0, 1.0, -1.0, 2.0, 0.5, math.pi / 50)), *range(len(inputs))]

    def number(value):
        made = program.values[value] if isinstance(value, int) else None
        return program.add("number", value) if isinstance(made, Operation) and made.name in TRUTHS else value

    for operation, *places in operations:
        picked = [values[-1 - place % 3] if place % 2 else values[place % len(values)] for place in places[: WANTS[operation]]]
        truths = (True, True) if operation.startswith("logical") else (operation == "where", False, False)
        values.append(program.add(operation, *(one if truth else number(one) for one, truth in zip(picked, truths, strict=False))))
    return Side(program, (), tuple(number(one) for one in values[-outputs:]))


def steady(program, numbers):
    """Whether all values are of moderate size, and none lies at a jump, where rounding decides."""
    values = [float(one) for one in program.evaluate(range(len(program.values)), numbers)]
    for value, made in zip(values, program.values, strict=True):
        given = [one.value if isinstance(one, Constant) else values[one] for one in (made.operands if isinstance(made, Operation) else ())]
        jumps = isinstance(made, Operation) and made.name in TRUTHS and not made.name.startswith("logical") and len(given) == 2
        rounds = isinstance(made, Operation) and made.name in ("ceil", "floor", "round", "sign")
        if (
            not abs(value) < 1e3
            or (jumps and abs(given[0] - given[1]) < 1e-6)
            or (rounds and abs(2 * given[0] - round(2 * given[0])) < 1e-6)
        ):
            return False
    return True


@pytest.fixture(scope="module")
def double():
    """A truth as a number is float64, as all else here."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@settings(max_examples=300, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(drawn, drawn)
def test_programs_of_every_operation_drawn_at_random(double, forward, backward):
    sides = side(list(CALLED)[:4], forward, 2), side(list(CALLED), forward + backward, 4)
    generator = torch.Generator().manual_seed(0)
    numbers = {long: 0.3 + torch.rand((), generator=generator) for long in CALLED}
    assume(all(steady(one.program, numbers) for one in sides))
    text = printed(Traced(("v",), ("k", "decay.log_tau"), ("k", "decay.log_tau"), *sides), backward=True)
    no_idle_parentheses(text)
    scope = dict(SCOPE) | {name(CALLED[long]): number.item() for long, number in numbers.items()}
    for word, expression in lines(text):
        scope[name(word)] = eval(python(expression), {}, scope)
    for one, words in zip(sides, (("v'", "y"), ("dL/dv", "dL/dx", "dL/dk", "dL/d(decay.log_tau)")), strict=True):
        for word, output in zip(words, one.outputs, strict=True):
            expected = one.program.evaluate([output], numbers)[0].item() if isinstance(output, int) else output.value
            assert scope[name(word)] == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True), text
