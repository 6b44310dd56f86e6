"""Chains against scipy's filters and against their own steps."""

import copy
import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch import Tensor, nn

from neuropil.dynamics import Cell, Chain, Decay, leaves


class Leak(Cell):
    class State(NamedTuple):
        v: Tensor

    def __init__(self, size=None, tau=0.02):
        super().__init__(size, dt=1e-3)
        self.decay = Decay(torch.as_tensor(tau, dtype=torch.float64), dt=1e-3, size=size)

    def update(self, s, x):
        v = self.decay() * s.v + x
        return self.State(v), v


def double(module):
    torch.manual_seed(0)
    return module.double()


def test_a_cascade_of_leaks_is_scipys_filter_of_all_poles():
    x = torch.randn(200, 3, 2, dtype=torch.float64)
    poles = [math.exp(-1e-3 / tau) for tau in (0.005, 0.02, 0.08)]
    y, _ = Chain(Leak(2, [0.005] * 2), Leak(2, [0.02] * 2), Leak(2, [0.08] * 2))(x)
    assert np.allclose(y, lfilter([1.0], np.poly(poles), x.numpy(), axis=0), rtol=1e-8)


def test_linear_between_leaks_is_the_matrix_between_the_filters():
    x = torch.randn(50, 3, 2, dtype=torch.float64)
    chain = double(Chain(Leak(2), nn.Linear(2, 4, bias=False), readout=Leak(4)))
    d = math.exp(-1 / 20)
    inner = lfilter([1.0], [1.0, -d], x.numpy(), axis=0) @ chain.get_parameter("1.weight").detach().numpy().T
    assert np.allclose(chain(x)[0].detach(), lfilter([1.0], [1.0, -d], inner, axis=0))


@pytest.mark.parametrize(
    ("chain", "shape"),
    [
        (Chain(nn.Linear(3, 4), hidden=Leak(4), out=nn.Linear(4, 2)), (6, 5, 3)),
        (Chain(nn.Linear(3, 4), hidden=Leak(4)), (6, 3)),
        (Chain(nn.Linear(3, 4), Leak(4)), (6, 2, 5, 3)),
        (Chain(nn.Conv2d(1, 2, 3), Leak(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2), Leak(2)), (6, 5, 1, 8, 8)),
        (Chain(Leak(3), nn.Sequential(nn.Linear(3, 3), nn.Tanh()), Chain(Leak(3), nn.ReLU())), (6, 5, 3)),
        (Chain(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3), Leak()).eval(), (6, 5, 2, 4)),
    ],
)
def test_layer_by_layer_is_moment_by_moment(chain, shape):
    chain, x = double(copy.deepcopy(chain)), torch.randn(*shape, dtype=torch.float64)
    y, last = chain(x)
    s, steps = None, []
    for moment in x:
        out, s = chain.step(moment, s)
        steps.append(out)
    assert torch.allclose(y, torch.stack(steps), rtol=1e-12, atol=1e-14)
    assert [name for name, _ in leaves(last)] == [name for name, _ in leaves(s)]
    halves, carried = chain(x[:4])
    assert torch.allclose(torch.cat([halves, chain(x[4:], carried)[0]]), y, rtol=1e-12, atol=1e-14)


def test_batch_norm_sees_all_time_steps_at_once():
    chain = double(Chain(nn.BatchNorm1d(3), Leak(3)))
    x = torch.randn(7, 5, 3, dtype=torch.float64)
    chain(x)
    assert torch.allclose(chain.get_buffer("0.running_mean"), 0.1 * x.mean((0, 1)))


def test_no_moment_and_sizes():
    chain = Chain(nn.Linear(3, 4), Leak(4), nn.Linear(4, 2)).double()
    assert chain(torch.zeros(0, 5, 3, dtype=torch.float64))[0].shape == (0, 5, 2)
    assert chain.out_size == 2
    assert chain.initial(5).layers == (None, None, None)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda c: Chain(), ValueError, "A Chain was given no layer"),
        (lambda c: Chain(torch.tanh), TypeError, "Layer '0' of a Chain is a builtin_function_or_method; accepted are nn.Modules and Cells"),
        (
            lambda c: Chain(nn.Sequential(nn.Linear(3, 3), Leak(3))),
            TypeError,
            "Layer '0' of a Chain is a Sequential that holds a Leak, a Cell; make it a Chain or a Cell",
        ),
        (lambda c: Chain(step=nn.Linear(1, 1)), ValueError, "A layer of a Chain cannot be named 'step'"),
        (lambda c: c(torch.zeros(3)), ValueError, r"Chain was given an input of shape \[3\]; accepted is \[T, ..., N\], time first"),
        (
            lambda c: c(torch.zeros(4, 2, 3), Leak(3).initial(2)),
            TypeError,
            "Chain was given a State as its state; accepted is its own Chain.State",
        ),
        (lambda c: c(torch.zeros(4, 2, 3), Chain(Leak(3)).initial(2)), ValueError, "Chain has 2 layers and was given the state of 1"),
        (lambda c: c(torch.zeros(4, 2, 3), c.State((Leak(3).initial(9), None))), ValueError, r"State 'v' given to Leak has shape \[9, 3\]"),
        (lambda c: c(torch.zeros(4, 2, 3), gate=torch.zeros(4)), TypeError, r"Chain takes x and a state, \['gate'\] was given too"),
    ],
)
def test_bad_input_is_one_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(Chain(Leak(3), nn.Linear(3, 2)))
