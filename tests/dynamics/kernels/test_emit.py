"""The written kernels are the steps in torch: run as plain Python, every registered cell and equations drawn at random; compiled, a few of those."""

import inspect
import random
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import neuropil.cells  # noqa: F401
from neuropil.dynamics import Arctan, Cell, FastSigmoid, Sigmoid, Triangular
from neuropil.dynamics.kernels.emit import PLACE, emit
from neuropil.dynamics.kernels.layout import Coefficients, Place
from neuropil.dynamics.kernels.trace import own_by_name, trace
from neuropil.dynamics.registry import CELLS


def plain(cell, x, s, gy, gs, every):
    """Run the emitted text in plain Python, float64: y, last states, gradients of x, first states and own tensors."""
    traced = trace(cell)
    scope = {}
    moments, features = len(x), x.shape[-1]
    flat = s[0].numel()
    place = Place(flat, features, 2, -(-features // 2), flat // features * 2)  # two pieces a row, the second shorter
    own = dict(own_by_name(cell))
    sides = [Coefficients.of(side, own, torch.float64, 0) for side in (traced.forward, traced.backward)]
    exec(compile(emit(traced, "float64", (sides[0].shared, sides[1].shared)), "kernel", "exec"), scope)
    forward, backward = ([one.numpy() for one in side.laid_out(features)] for side in sides)
    cut = (every, *place[:4], 0, place.total)
    inputs, last, y = x.numpy().reshape(moments, flat), [one.numpy().reshape(-1).copy() for one in s], np.empty((moments, flat))
    kept = [np.full(((moments - 1) // every + 1, flat), np.nan) for _ in s]
    with np.errstate(all="ignore"):
        scope["forward"](inputs, *last, y, *kept, *forward, *cut)
        gx, back = np.empty((moments, flat)), [one.numpy().reshape(-1).copy() for one in gs]
        sums = [np.zeros(flat) for _ in traced.tensors]
        scope["backward"](inputs, *kept, gy.numpy().reshape(moments, flat), *back, gx, *sums, *forward, *backward, *cut)
    return [y.reshape(x.shape), *last], [gx.reshape(x.shape), *back], dict(zip(traced.tensors, sums, strict=True))


def compare(cell, x, every):
    cell = cell.double().use(backend="torch")
    generator = torch.Generator().manual_seed(3)
    own = {name: tensor.requires_grad_() for name, tensor in own_by_name(cell)}
    x = x.double().requires_grad_()
    s = type(cell.initial_like(x[0]))(*(one.detach().requires_grad_() for one in cell.initial_like(x[0])))
    y, last = cell(x, s)
    gy = torch.rand(y.shape, generator=generator, dtype=torch.float64)
    gs = [torch.rand(one.shape, generator=generator, dtype=torch.float64) for one in last]
    wanted = torch.autograd.grad([y, *last], [x, *s, *own.values()], [gy, *gs], allow_unused=True, materialize_grads=True)
    outputs, gradients, sums = plain(cell, x.detach(), [one.detach() for one in s], gy, gs, every)
    for found, expected in zip(outputs, (y, *last), strict=True):
        np.testing.assert_allclose(found.reshape(-1), expected.detach().numpy().reshape(-1), rtol=1e-12, atol=1e-12)
    for found, expected in zip(gradients, wanted, strict=False):
        np.testing.assert_allclose(found.reshape(-1), expected.numpy().reshape(-1), rtol=1e-9, atol=1e-9)
    for name, expected in zip(own, wanted[1 + len(s) :], strict=True):
        found = sums[name].sum() if own[name].ndim == 0 else sums[name].reshape(-1, x.shape[-1]).sum(0)
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("every", [1, 3, 7])
@pytest.mark.parametrize("part", [part for part in CELLS if part.make.update is not Cell.update], ids=lambda part: part.name)
def test_every_registered_cell(part, every):
    torch.manual_seed(0)
    drive = {"ExponentialIF": 900.0, "Izhikevich": 300.0, "QuadraticIF": 60.0}.get(part.name, 1.5)
    compare(part.small(), drive * torch.rand(7, 2, 4), every)


LEAVES = [lambda s, x, p: s.a, lambda s, x, p: s.b, lambda s, x, p: x, lambda s, x, p: p.one, lambda s, x, p: p.each, lambda s, x, p: 0.7]
ONES = [torch.tanh, torch.sigmoid, torch.relu, torch.sin, torch.abs, lambda v: -v, lambda v: v.clamp(-0.5, 0.9), lambda v: (v * v + 1).sqrt(),
        lambda v: torch.exp(-(v**2)), lambda v: (1 + v.abs()).log(), lambda v: 1 / (2 + torch.cos(v)), lambda v: (v > 0.1).float() * v, torch.atan]  # fmt: skip
TWOS = [torch.add, torch.sub, torch.mul, torch.maximum, lambda a, b: torch.where(a > b, a, b * 0.5), lambda a, b: a / (1 + b * b)]
SURROGATES = [FastSigmoid(), Arctan(), Triangular(), Sigmoid()]
expression = st.recursive(
    st.sampled_from(range(len(LEAVES))).map(lambda k: ("leaf", k)),
    lambda inner: st.one_of(
        st.tuples(st.just("one"), st.sampled_from(range(len(ONES))), inner),
        st.tuples(st.just("two"), st.sampled_from(range(len(TWOS))), inner, inner),
        st.tuples(st.just("spike"), st.sampled_from(range(len(SURROGATES))), inner),
    ),
    max_leaves=5,
)


def build(tree, s, x, p):
    kind, place, *rest = tree
    if kind == "leaf":
        value = LEAVES[place](s, x, p)
        return value if isinstance(value, Tensor) else torch.full_like(x, value)
    parts = [build(one, s, x, p) for one in rest]
    return {"one": ONES, "two": TWOS, "spike": SURROGATES}[kind][place](*parts)


class Drawn(Cell):
    """A cell whose equation is three drawn trees."""

    class State(NamedTuple):
        a: Tensor
        b: Tensor

    def __init__(self, trees):
        super().__init__(3)
        self.trees = trees
        self.one, self.each = nn.Parameter(torch.tensor(0.6)), nn.Parameter(torch.tensor([0.2, -0.4, 1.1]))

    def update(self, s, x):
        a, b, y = (build(tree, s, x, self) for tree in self.trees)
        return self.State(torch.tanh(a + 0 * x), torch.tanh(b + 0 * x)), y + 0 * x


@settings(max_examples=30, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(expression, expression, expression), st.sampled_from([1, 2, 4]))
def test_equations_drawn_at_random(trees, every):
    compare(Drawn(trees), torch.rand(4, 2, 3, generator=torch.Generator().manual_seed(1)) - 0.3, every)


def equations(count, seed):
    """``count`` drawn equations that use every operation once between them."""
    draw = random.Random(seed)
    operations = [(kind, k) for kind, those in (("one", ONES), ("two", TWOS), ("spike", SURROGATES)) for k in range(len(those))]
    draw.shuffle(operations)
    trees = [("leaf", draw.randrange(3)) for _ in range(3 * count)]  # a state or the input: what is of parameters alone is not compiled
    for place, (kind, k) in enumerate(operations):
        inner = trees[place % len(trees)]
        trees[place % len(trees)] = (kind, k, inner, ("leaf", draw.randrange(len(LEAVES)))) if kind == "two" else (kind, k, inner)
    return [tuple(trees[3 * k : 3 * k + 3]) for k in range(count)]


@pytest.mark.parametrize("trees", equations(4, seed=0), ids=range(4))
def test_a_few_compiled_with_every_operation_once_between_them(trees):
    pytest.importorskip("numba", reason="Numba is not installed; pip install 'neuropil[fast]' runs this test")
    generator = torch.Generator().manual_seed(1)
    x, gy = (torch.rand(9, 2, 3, generator=generator, dtype=torch.float64) - 0.3 for _ in range(2))
    found = []
    for backend in ("torch", "fused"):
        cell = Drawn(trees).double().use(backend=backend)
        given = x.clone().requires_grad_()
        start = cell.State(*(torch.full_like(x[0], value).requires_grad_() for value in (0.2, -0.4)))
        y, last = cell(given, start)
        loss = (y * gy).sum() + last.a.square().sum() + last.b.square().sum()
        gradients = torch.autograd.grad(loss, [given, *start, cell.one, cell.each], allow_unused=True, materialize_grads=True)
        found.append(([y, *last], gradients))
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-12)
    assert any((gradient != 0).any() for gradient in found[0][1])


def test_the_numbers_after_the_arrays_are_as_documented():
    scope = {}
    exec(compile(emit(trace(Drawn((("leaf", 0), ("leaf", 1), ("leaf", 2)))), "float32"), "kernel", "exec"), scope)
    for name in ("forward", "backward"):
        assert ", ".join(inspect.signature(scope[name]).parameters).endswith(PLACE)
