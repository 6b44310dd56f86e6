"""Circuits against transfer functions (scipy), closed forms and a recursion by hand."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch import Tensor, nn

from neuropil.dynamics import Cell, Chain, Circuit, Decay, Edge


class Leak(Cell):
    class State(NamedTuple):
        v: Tensor

    def __init__(self, size=None, tau=0.02):
        super().__init__(size, dt=1e-3)
        self.decay = Decay(torch.tensor(tau, dtype=torch.float64), dt=1e-3)

    def update(self, s, x):
        v = self.decay() * s.v + x
        return self.State(v), v


class Sized(nn.Module):
    """A plain node that passes its input on and says its size."""

    def __init__(self, out_features):
        super().__init__()
        self.out_features = out_features

    def forward(self, x):
        return x


def gain(matrix):
    matrix = torch.as_tensor(matrix, dtype=torch.float64)
    linear = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False, dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(matrix)
    return linear


@pytest.mark.parametrize("delay", [1, 2, 7])
def test_inhibitory_feedback_with_a_delay_is_its_transfer_function(delay):
    # y = (x - k q^delay z) / (1 - a q), z = y / (1 - b q)  =>  y = (1 - b q) x / ((1 - a q)(1 - b q) + k q^delay)
    a, b, k = math.exp(-1 / 20), math.exp(-1 / 5), 0.13
    circuit = Circuit(
        {"e": Leak(1, 0.02), "i": Leak(1, 0.005)},
        [("input", "e"), ("e", "i"), Edge("i", "e", delay, gain([[-k]]))],
        output="e",
    )
    x = torch.randn(300, 2, 1, dtype=torch.float64)
    y, _ = circuit(x)
    denominator = np.zeros(max(3, delay + 1))
    denominator[:3] = np.polymul([1, -a], [1, -b])
    denominator[delay] += k
    assert np.allclose(y.detach(), lfilter([1.0, -b], denominator, x.numpy(), axis=0), rtol=1e-9, atol=1e-10)


def test_a_rotation_fed_back_is_an_oscillator():
    omega = 2 * math.pi / 25
    turn = gain([[math.cos(omega), -math.sin(omega)], [math.sin(omega), math.cos(omega)]])
    circuit = Circuit({"ring": Sized(2)}, [("input", "ring"), Edge("ring", "ring", 1, turn)], output="ring")
    kick = torch.zeros(100, 2, dtype=torch.float64)
    kick[0, 0] = 1.0
    y, _ = circuit(kick)
    t = torch.arange(100, dtype=torch.float64)
    assert torch.allclose(y, torch.stack([torch.cos(omega * t), torch.sin(omega * t)], -1), atol=1e-12)


def test_delays_of_the_input_and_forward_edges_shift_and_add():
    x = torch.randn(20, 3, 2, dtype=torch.float64)
    circuit = Circuit({"sum": Sized(2), "out": Sized(2)}, [("input", "sum"), ("input", "sum", 3), ("sum", "out", 2)], output="out")
    y, _ = circuit(x)
    padded = torch.cat([torch.zeros(5, 3, 2), x])
    assert torch.allclose(y, padded[3:-2] + padded[:-5])


def test_mutual_delayed_feedback_follows_the_recursion_by_hand():
    torch.manual_seed(1)
    w, u = torch.randn(2, 3, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    circuit = Circuit(
        {"a": Leak(3), "b": Leak(2, 0.01)},
        [("input", "a"), Edge("b", "a", 1, gain(u)), Edge("a", "b", 2, gain(w)), Edge("a", "b", 1, gain(2 * w))],
        output="b",
    )
    x = torch.randn(30, 3, dtype=torch.float64)
    y, s = circuit(x)
    da, db = math.exp(-1 / 20), math.exp(-1 / 10)
    a, b = [torch.zeros(3, dtype=torch.float64)] * 2, [torch.zeros(2, dtype=torch.float64)] * 2
    for t in range(30):
        a.append(da * a[-1] + x[t] + u @ b[-1])
        b.append(db * b[-1] + w @ a[-3] + 2 * w @ a[-2])
        assert torch.allclose(y[t], b[-1], rtol=1e-10)
    assert torch.allclose(s.buffers["a"], torch.stack(a[-2:]), rtol=1e-10)
    assert dict(circuit.named_modules()).keys() >= {"b_to_a", "a_to_b", "a_to_b_2"}


def circuit():
    torch.manual_seed(0)
    nodes = {"e": Leak(3), "i": Chain(nn.Linear(3, 2), Leak(2))}
    edges = [("input", "e"), ("e", "i", 1), ("i", "e", 2, nn.Linear(2, 3))]
    return Circuit(nodes, edges, output="e").double()


def test_pieces_of_a_sequence_join_and_leave_no_trace():
    net, x = circuit(), torch.randn(25, 4, 3, dtype=torch.float64)
    y, _ = net(x)
    first, s = net(x[:9])
    second, _ = net(x[9:], s)
    assert torch.equal(torch.cat([first, second]), y)
    assert torch.equal(net(x)[0], y)
    assert torch.allclose(net(x[:, 1])[0], y[:, 1])
    assert net(x[:0])[0].shape == (0, 4, 3)


def test_gradients_flow_through_the_delays():
    net = circuit()
    assert torch.autograd.gradcheck(lambda x: net(x)[0], torch.randn(6, 2, 3, dtype=torch.float64, requires_grad=True))


def test_the_state_at_rest():
    s = circuit().initial(4, 3)
    assert s.nodes == {"e": None, "i": None}
    assert {name: list(buffer.shape) for name, buffer in s.buffers.items()} == {"e": [1, 4, 3], "i": [2, 4, 2]}
    late = Circuit({"e": Leak(3)}, [("input", "e", 2)], output="e", size=3)
    assert late.initial(5).buffers["input"].shape == (2, 5, 3)
    with pytest.raises(ValueError, match="no size is known; give the Circuit its size"):
        Circuit({"e": Leak(3)}, [("input", "e", 2)], output="e").initial()


X = torch.zeros(4, 2, 3, dtype=torch.float64)


def test_the_state_at_rest_has_the_dtype_and_device_of_the_parameters():
    for dtype in (torch.float64, torch.float32):
        part = circuit().to(dtype)
        assert part.initial(2, 3).buffers["i"].dtype == dtype
        y, _ = part(X.to(dtype), part.initial(2, 3))
        assert torch.equal(y, part(X.to(dtype))[0])
    assert circuit().to("meta").initial(2, 3).buffers["i"].device.type == "meta"


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda: Circuit({"a": Leak(1), "b": Leak(1)}, [("input", "a"), ("a", "b"), ("b", "a")], output="a"),
            ValueError,
            "The loop (a -> b -> a|b -> a -> b) has no delay, .* a delay of 1 or more",
        ),
        (lambda: Circuit({"a": Leak(1)}, [("input", "a"), ("a", "a")], output="a"), ValueError, "The loop a -> a has no delay"),
        (lambda: Circuit({"a": Leak(1)}, [("input", "c")], output="a"), ValueError, r"An edge names 'c'; accepted here are \['a'\]"),
        (lambda: Circuit({"a": Leak(1)}, [("a", "input", 1)], output="a"), ValueError, "An edge names 'input'"),
        (lambda: Circuit({"a": Leak(1)}, [("input", "a")], output="b"), ValueError, "The output of this Circuit was named 'b'"),
        (lambda: Circuit({"a": Leak(1), "b": Leak(1)}, [("input", "a")], output="a"), ValueError, "Node 'b' gets no input"),
        (
            lambda: Circuit({"a": Leak(1)}, [("input", "a", -1)], output="a"),
            ValueError,
            "The delay of edge input -> a is -1; accepted are whole steps",
        ),
        (lambda: Circuit({"a": Leak(1)}, [("input", "a", 1.5)], output="a"), ValueError, "is 1.5"),
        (
            lambda: Circuit({"a": Leak()}, [("input", "a"), ("a", "a", 1)], output="a"),
            ValueError,
            "Node 'a' feeds an edge with a delay but has no size",
        ),
        (lambda: Circuit({"input": Leak(1)}, [], output="input"), ValueError, "A node of a Circuit cannot be named 'input'"),
        (lambda: Circuit({"a": torch.tanh}, [], output="a"), TypeError, "Node 'a' of a Circuit is a builtin_function_or_method"),
        (
            lambda: Circuit({"a": Leak(1)}, [("input", "a", 0, Leak(1))], output="a"),
            TypeError,
            "goes through a Leak; accepted are plain modules, make a cell a node",
        ),
        (
            lambda: Circuit({"a": nn.Sequential(Leak(1))}, [("input", "a")], output="a"),
            TypeError,
            "Node 'a' of a Circuit is a Sequential that holds a Leak, a Cell; make it a Chain or a Cell",
        ),
        (
            lambda: Circuit({"a": Leak(1)}, [("input", "a", 0, nn.Sequential(Leak(1)))], output="a"),
            TypeError,
            "The module of edge input -> a is a Sequential that holds a Leak",
        ),
        (
            lambda: Circuit({"a": Leak(3)}, [("input", "a"), Edge("input", "a", 0, gain([[1.0, 1.0, 1.0]]))], output="a")(X),
            ValueError,
            r"Node 'a' of a Circuit is sent \[2, 3\] from input, \[2, 1\] from input; edges into one node bring equal shapes",
        ),
        (lambda: circuit()(X, Leak(3).initial(2)), TypeError, r"Circuit was given the state of a State; .* nodes \['e', 'i'\]"),
        (lambda: circuit()(X, Circuit({"a": Leak(3)}, [("input", "a")], output="a").initial(2, 3)), TypeError, r"the state of \['a'\]"),
        (
            lambda: circuit()(X, circuit().initial(9, 3, dtype=torch.float64)),
            ValueError,
            r"has shape \[1, 9, 3\], this input needs \[1, 2, 3\]",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
