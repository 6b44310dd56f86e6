"""Programs hold each operation once, fold what is constant, and compute what torch computes."""

import math

import pytest
import torch

from neuropil.dynamics.kernels.program import IN_TORCH, ONE, TRUTHS, ZERO, Constant, Program


def test_the_same_operation_is_held_once_and_constants_fold():
    program = Program(["a", "b"])
    assert program.add("mul", 0, 1) == program.add("mul", 0, 1) == 2
    assert program.add("add", Constant(2.0), Constant(0.5)) == Constant(2.5)
    assert program.add("exp", ZERO) == ONE
    assert len(program.values) == 3


def test_neutral_operands_go_and_a_value_is_never_taken_for_the_number_it_bears():
    program = Program(["a", "b"])
    assert [program.add("mul", 0, ONE), program.add("mul", ONE, 0), program.add("add", ZERO, 0), program.add("sub", 0, ZERO)] == [
        0,
        0,
        0,
        0,
    ]
    assert program.add("mul", 0, 1) == 2  # value 1, not the constant 1
    assert program.add("sub", ZERO, 0) == 3  # 0 - x is not x
    assert program.add("mul", 0, ZERO) == 4  # 0 x is NaN where x is


def test_what_depends_on_what():
    program = Program(["x", "p"])
    decay = program.add("exp", 1)
    product = program.add("mul", decay, 0)
    program.add("add", product, product)
    assert program.only_from(["p"]) == {1, decay}
    assert program.needed([product]) == {0, 1, decay, product}
    assert program.made_of(product) == [decay, 0]


@pytest.mark.parametrize("name", sorted(IN_TORCH))
def test_every_operation_evaluates_tensors_and_constants_alike(name):
    a, b = torch.tensor([0.3, -1.2, 2.5], dtype=torch.float64), torch.tensor([0.7, 0.4, -0.6], dtype=torch.float64)
    count = {"where": 3, "number": 1}.get(name) or (1 if _takes_one(name) else 2)
    given = {"c": a > 0, "a": a, "b": b}
    operands = {3: (0, 1, 2), 2: (1, 2), 1: (1,)}[count]
    if name.startswith("logical"):
        given |= {"a": a > 0, "b": b > 0}
    if name in ("log", "log1p", "rsqrt", "sqrt", "pow"):
        given["a"] = a.abs()
    program = Program(["c", "a", "b"])
    (found,) = program.evaluate([program.add(name, *operands)], given)
    one_by_one = [IN_TORCH[name](*(given[("c", "a", "b")[o]][k] for o in operands)) for k in range(3)]
    assert torch.equal(found, torch.stack(one_by_one))
    assert (found.dtype == torch.bool) == (name in TRUTHS)
    if count == 2 and not name.startswith("logical"):
        (half,) = program.evaluate([program.add(name, 1, Constant(0.7))], given)
        assert torch.equal(half, IN_TORCH[name](given["a"], torch.full_like(a, 0.7)))


def _takes_one(name):
    try:
        IN_TORCH[name](torch.ones(1))
    except TypeError:
        return False
    return True


def test_where_of_two_constants_is_a_number():
    program = Program(["x"])
    (found,) = program.evaluate([program.add("where", program.add("ge", 0, ZERO), ONE, Constant(-2.0))], {"x": torch.tensor([1.0, -1.0])})
    assert found.tolist() == [1.0, -2.0]
    assert found.is_floating_point()


def test_nan_survives_the_folding():
    program = Program(["x"])
    value = program.add("mul", program.add("add", 0, ZERO), ONE)
    assert math.isnan(program.evaluate([value], {"x": torch.tensor(math.nan)})[0])
