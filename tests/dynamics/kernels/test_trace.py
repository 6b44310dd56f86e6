"""What a cell's update becomes: coefficients apart, gradients by autograd, and refusals in a sentence."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from neuropil.cells import ALIF, LI, LIF
from neuropil.dynamics import Cell, Decay
from neuropil.dynamics.kernels.program import Operation
from neuropil.dynamics.kernels.trace import Untraceable, trace


def names(side):
    return [side.program.values[n].name for n in side.body()]


def test_a_leaky_integrator_is_a_product_and_a_sum_and_its_decay_is_computed_once():
    traced = trace(LI(3, dt=1e-3))
    assert names(traced.forward) == ["mul", "add"]
    (decay,) = traced.forward.coefficients
    assert traced.forward.program.values[decay].name == "exp"
    (value,) = traced.forward.program.evaluate([decay], {"own.decay.log_tau": torch.tensor(0.02, dtype=torch.float64).log()})
    torch.testing.assert_close(value, torch.exp(torch.tensor(-1e-3 / 0.02, dtype=torch.float64)))
    assert names(traced.learning(()).backward) == ["add", "mul"]  # decay times what comes back to state and output


def test_no_exponential_is_left_in_the_body_of_a_spiking_cell_with_a_fast_sigmoid():
    traced = trace(ALIF(3, dt=1e-3))
    assert "exp" not in names(traced.forward) + names(traced.learning(traced.tensors).backward)


def test_gradients_not_wanted_cost_nothing():
    traced = trace(LIF(3, dt=1e-3))
    assert traced.learnable == traced.tensors == ("threshold", "decay.log_tau")
    few, all_of_them = (len(traced.learning(wanted).backward.body()) for wanted in ((), traced.tensors))
    assert few < all_of_them
    assert traced.learning(("decay.log_tau", "nothing")).learnable == ("decay.log_tau",)


def test_tracing_leaves_the_cell_as_it_was():
    cell = LIF(3, dt=1e-3, tau=[0.01, 0.02, 0.03])
    before = {name: (id(tensor), tensor.clone()) for name, tensor in cell.named_buffers()}
    trace(cell)
    after = dict(cell.named_buffers())
    assert all(id(after[name]) == identity and torch.equal(after[name], value) for name, (identity, value) in before.items())


def cell(update, *tensors):
    """An elementwise cell of one field with this update."""

    class Odd(Cell):
        class State(NamedTuple):
            v: Tensor

        def __init__(self):
            super().__init__(None)
            for place, tensor in enumerate(tensors):
                setattr(self, f"p{place}", tensor)

    Odd.update = update
    return Odd()


@pytest.mark.parametrize(
    ("update", "said"),
    [
        (lambda self, s, x: (self.State(s.v.cumsum(-1) + x), x), r"uses aten\.cumsum"),
        (lambda self, s, x: (self.State(s.v + torch.rand_like(x)), x), r"uses aten\.rand_like"),
        (lambda self, s, x: (self.State(s.v if (s.v > 0).all() else x), x), r"uses aten\.all"),
        (lambda self, s, x: (self.State(s.v if s.v[0, 0] > 0 else x), x), r"uses aten\.select"),
        (lambda self, s, x: (self.State(s.v.sum()), x), r"uses aten\.sum"),
        (lambda self, s, x: (self.State(torch.zeros(2)), x), "all of the shape of x"),
        (lambda self, s, x: (self.State(s.v / s.w), x), "cannot be traced"),
        (lambda self, s, x: (s.v, x), "does not give back its State"),
        (lambda self, s, x: (self.State(s.v * torch.tensor([1.0, 2.0, 3.0])), x), "3 numbers that is neither parameter nor buffer"),
    ],
)
def test_what_no_kernel_can_be_written_from_is_refused_in_a_sentence(update, said):
    with pytest.raises(Untraceable, match=said) as refusal:
        trace(cell(update))
    assert str(refusal.value).startswith("update of Odd")
    assert "\n" not in str(refusal.value)


def test_whole_numbers_among_the_tensors_are_refused():
    with pytest.raises(Untraceable, match="not floating-point"):
        trace(cell(lambda self, s, x: (self.State(s.v + x), x), nn.Buffer(torch.tensor(3))))


def test_shared_tensors_are_one():
    class Shared(Cell):
        class State(NamedTuple):
            v: Tensor

        def __init__(self):
            super().__init__(None, dt=1e-3)
            self.one = Decay(0.02, dt=1e-3)
            self.other = self.one

        def update(self, s, x):
            v = self.one() * s.v + self.other() * x
            return self.State(v), v

    traced = trace(Shared())
    assert traced.tensors == ("one.log_tau",)
    assert (
        len([v for v in traced.forward.program.values if isinstance(v, Operation) and v.name == "exp"]) == 2
    )  # exp(-dt exp(-log tau)), once
