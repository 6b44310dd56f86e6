"""Graphs from elsewhere: how their structure is read, and what is refused."""

import re
import sys

import numpy as np
import pytest
import torch
from torch import nn

from neuropil.cells import LIF
from neuropil.dynamics import Chain, Circuit
from neuropil.exchange import CubaMembrane, Membrane, from_nir, to_nir
from neuropil.synapses import Dense, Recurrent

nir = pytest.importorskip("nir")

ONE = np.ones(2)
EYE = np.eye(2)


def lif(**changed):
    return nir.LIF(**{"tau": 0.02 * ONE, "r": 20.0 * ONE, "v_leak": 0 * ONE, "v_threshold": ONE, **changed})


def wired(edges, **nodes):
    ends = {"in": nir.Input(np.array([2])), "out": nir.Output(np.array([2]))}
    return nir.NIRGraph({**ends, **nodes}, edges)


def test_a_line_is_a_chain_with_its_names_and_one_neuron_is_a_cell():
    graph = wired(
        [("in", "w.in"), ("w.in", "size"), ("size", "b"), ("b", "out")],
        **{"w.in": nir.Linear(2 * EYE), "size": lif(), "b": nir.Affine(EYE, ONE)},
    )
    chain = from_nir(graph, dt=1e-3)
    assert type(chain) is Chain
    assert chain.names == ("w_in", "size_", "b")
    assert [type(layer) for layer in chain.layers] == [Dense, Membrane, nn.Linear]
    x = torch.rand(5, 1, 2)
    torch.testing.assert_close(chain.layers[0](x), 2 * x)
    torch.testing.assert_close(chain.layers[2](x), x + 1)
    assert type(from_nir(nir.NIRGraph.from_list(lif()), dt=1e-3)) is Membrane


def test_one_number_for_all_fits_any_size():
    scalar = {key: np.array(1.0) for key in ("tau", "r", "v_leak", "v_threshold")}
    cell = from_nir(wired([("in", "a"), ("a", "out")], a=nir.Linear(EYE)))
    assert isinstance(cell, Chain)
    graph = nir.NIRGraph(
        {"in": nir.Input(np.array([])), "a": nir.LIF(**scalar), "out": nir.Output(np.array([]))}, [("in", "a"), ("a", "out")]
    )
    cell = from_nir(graph, dt=1e-3)
    assert cell.size is None
    assert cell(torch.rand(3, 7))[0].shape == (3, 7)


def test_numbers_may_be_scalars_from_a_file_or_tensors_from_a_simulator(tmp_path):
    scalars = {"tau": 0.02, "r": 2.0, "v_leak": 0.1, "v_threshold": 1.0, "v_reset": 0.0}
    ends = {"in": nir.Input(np.array([])), "out": nir.Output(np.array([]))}
    node = nir.LIF(**{key: np.float32(number) for key, number in scalars.items()})
    nir.write(tmp_path / "scalars.nir", nir.NIRGraph({**ends, "a": node}, [("in", "a"), ("a", "out")]))
    shared = from_nir(nir.read(tmp_path / "scalars.nir"), dt=1e-3)
    assert shared.size is None
    tensors = nir.LIF(**{key: torch.full((2,), number, requires_grad=True) for key, number in scalars.items()})
    each = from_nir(nir.NIRGraph.from_list(tensors), dt=1e-3)
    assert each.size == 2
    x = torch.rand(50, 3, 2)
    torch.testing.assert_close(shared(x)[0], each(x)[0])
    weight = torch.eye(2, requires_grad=True)
    assert from_nir(nir.NIRGraph.from_list(nir.Affine(weight, torch.ones(2)))).layers[0].weight.grad_fn is None


def test_a_loop_is_a_recurrent_one_step_late():
    recurrent = np.array([[0.0, 1.0], [-1.0, 0.0]])
    graph = wired([("in", "n"), ("n", "w"), ("w", "n"), ("n", "out")], n=lif(), w=nir.Linear(recurrent))
    model = from_nir(graph, dt=1e-3)
    assert type(model) is Recurrent
    x = torch.rand(50, 1, 2)
    y, _ = model(x)
    s, before = None, torch.zeros(1, 2)
    for t in range(50):
        before, s = model.cell.step(x[t] + before @ torch.tensor(recurrent, dtype=torch.float32).mT, s)
        torch.testing.assert_close(before, y[t])
    assert y.sum() > 0


@pytest.mark.parametrize(("seconds", "steps"), [(0.003, 3), (0.0, 0), (0.0034, 3)])
def test_a_delay_is_its_nearest_number_of_steps(seconds, steps):
    x = torch.rand(20, 1, 2)
    for edges in ([("in", "d"), ("d", "w"), ("w", "out")], [("in", "w"), ("w", "d"), ("d", "out")]):
        model = from_nir(wired(edges, d=nir.Delay(seconds * ONE), w=nir.Linear(3 * EYE)), dt=1e-3)
        y, _ = model(x)
        torch.testing.assert_close(y[steps:], 3 * x[: 20 - steps])
        assert y[:steps].abs().sum() == 0


def test_delays_add_up_and_several_edges_are_summed():
    nodes = {"d": nir.Delay(0.001 * ONE), "e": nir.Delay(0.002 * ONE), "w": nir.Scale(np.array([1.0, 2.0])), "u": nir.Linear(5 * EYE)}
    model = from_nir(wired([("in", "d"), ("d", "e"), ("e", "w"), ("in", "u"), ("w", "out"), ("u", "out")], **nodes), dt=1e-3)
    assert type(model) is Circuit
    x = torch.rand(20, 1, 2)
    torch.testing.assert_close(model(x)[0][3:], x[:-3] * torch.tensor([1.0, 2.0]) + 5 * x[3:])


def test_a_loop_with_a_delay_of_its_own_gets_no_other():
    nodes = {"n": nir.LI(0.02 * ONE, ONE, 0 * ONE), "w": nir.Linear(-EYE), "d": nir.Delay(0.002 * ONE)}
    model = from_nir(wired([("in", "n"), ("n", "w"), ("w", "d"), ("d", "n"), ("n", "out")], **nodes), dt=1e-3)
    assert model.delays == {"w": 2}


def test_two_populations_without_delays_hear_each_other_a_step_later():
    edges = [("in", "a"), ("a", "b"), ("b", "a"), ("b", "out")]
    li = nir.LI(0.02 * ONE, ONE, 0 * ONE)
    assert from_nir(wired(edges, a=li, b=li), dt=1e-3).delays == {"a": 1, "b": 1}


def test_a_threshold_node_spikes_and_passes_gradients():
    model = from_nir(wired([("in", "t"), ("t", "out")], t=nir.Threshold(np.array([0.5, 1.5]))))
    x = torch.tensor([[[1.0, 1.0]]], requires_grad=True)
    y, _ = model(x)
    assert y.tolist() == [[[1.0, 0.0]]]
    y.sum().backward()
    assert (x.grad > 0).all()


def test_reset_is_hard_and_to_v_reset_and_rest_is_v_leak():
    node = lif(v_reset=np.array([-0.5, 0.2]), v_leak=np.array([0.1, -0.1]))
    cell = from_nir(nir.NIRGraph.from_list(node), dt=1e-3)
    assert cell.initial(1).v.tolist() == [pytest.approx([0.1, -0.1])]
    y, s = cell.step(torch.full((1, 2), 2.0))
    assert y.tolist() == [[1.0, 1.0]]
    assert s.v.tolist() == [pytest.approx([-0.5, 0.2])]


class Odd(nir.Scale):
    """A node of somebody's own."""


DAMAGED = lif()
DAMAGED.metadata["neuropil"] = "{"
TWO_OUT = wired([("in", "w"), ("w", "out"), ("w", "more")], w=nir.Linear(EYE), more=nir.Output(np.array([2])))


@pytest.mark.parametrize(
    ("graph", "dt", "words"),
    [
        (nir.NIRGraph.from_list(lif()), None, "dt is missing: node 'lif'"),
        (nir.NIRGraph.from_list(lif()), 0.05, "dt is at most tau"),
        (nir.NIRGraph.from_list(lif(tau=0 * ONE)), 1e-3, "tau is above 0"),
        (nir.NIRGraph.from_list(lif(r=np.array([1.0, np.nan]))), 1e-3, "r is finite"),
        (nir.NIRGraph.from_list(nir.Linear(np.ones((2, 2, 2)))), 1e-3, "accepted is [M, N], one axis of neurons"),
        (nir.NIRGraph.from_list(nir.Scale(np.array([[1.0, 1.0], [2.0, 2.0]]))), 1e-3, "[2, 2] differs between channels; accepted are"),
        (nir.NIRGraph.from_list(nir.Scale(np.array(1.0))), 1e-3, "holds one number; accepted is one a neuron"),
        (nir.NIRGraph.from_list(nir.I(np.array([[1.0, 1.0], [2.0, 2.0]]))), 1e-3, "r of node 'i' of shape [2, 2] differs between channels"),
        (nir.NIRGraph.from_list(Odd(np.ones(2))), 1e-3, "'odd' is a Odd, which neuropil has no module for"),
        (nir.NIRGraph.from_list(DAMAGED), 1e-3, "not what to_nir writes; delete it"),
        (TWO_OUT, 1e-3, "The graph has 2 nodes Output (['out', 'more'])"),
        (wired([("in", "out")]), 1e-3, "no node between its Input and its Output"),
        (wired([("in", "w"), ("w", "w"), ("w", "out")], w=nir.Linear(EYE)), 1e-3, "has no delay, so no node in it can be first"),
        (
            wired([("in", "d"), ("d", "w"), ("w", "out")], d=nir.Delay(np.array([0.001, 0.002])), w=nir.Linear(EYE)),
            1e-3,
            "one number of seconds",
        ),
        (wired([("in", "d"), ("d", "w"), ("w", "out")], d=nir.Delay(ONE), w=nir.Linear(EYE)), None, "dt is missing: the delay 'd'"),
        (
            wired([("in", "w"), ("d", "e"), ("e", "d"), ("d", "w"), ("w", "out")], d=nir.Delay(ONE), e=nir.Delay(ONE), w=nir.Linear(EYE)),
            1e-3,
            "form a loop with nothing else in it",
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(graph, dt, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        from_nir(graph, dt=dt)
    assert "\n" not in str(caught.value)


def test_what_is_no_graph_is_refused():
    with pytest.raises(TypeError, match=r"accepted is an nir\.NIRGraph"):
        from_nir(lif(), dt=1e-3)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(ImportError, match=r'run pip install "neuropil\[exchange\]"'):
        to_nir(LIF(2, dt=1e-3))


def test_current_based_nodes_of_one_number_for_w_in():
    node = nir.CubaLI(tau_syn=0.005 * ONE, tau_mem=0.02 * ONE, r=ONE, v_leak=0 * ONE, w_in=2.0)
    cell = from_nir(nir.NIRGraph.from_list(node), dt=1e-3)
    assert type(cell) is CubaMembrane
    assert cell.w_in.tolist() == [2.0, 2.0]
