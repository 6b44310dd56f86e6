"""Against readers that step by forward Euler: what snnTorch exported runs as in snnTorch, what we write for it runs there as here."""

from pathlib import Path

import numpy as np
import pytest
import torch

from neuropil.cells import LI, LIF, PLIF, CubaLIF
from neuropil.dynamics import Chain, Reset
from neuropil.exchange import CubaMembrane, Membrane, from_nir, to_nir
from neuropil.observe import observe
from neuropil.synapses import Dense, Recurrent

nir = pytest.importorskip("nir")
GOLDEN = Path(__file__).parent / "golden"
TAUS = [0.004, 0.005, 0.006, 0.02]


def snntorch_net():
    """A graph that snnTorch exported, and its traces; golden/snntorch_net.py made both and says how."""
    return nir.read(GOLDEN / "snntorch_net.nir"), {name: torch.from_numpy(a) for name, a in np.load(GOLDEN / "snntorch_net.npz").items()}


def test_a_graph_of_snntorch_gives_snntorchs_trace():
    graph, golden = snntorch_net()
    net = from_nir(graph, dt=1e-4, scheme="euler")
    with observe(net, "rec_lif.spikes", "last.v", "last.i") as seen:
        spikes, _ = net(golden["x"])
    assert 0.05 < golden["hidden"].mean() < 0.95
    assert torch.equal(seen["rec_lif.spikes"], golden["hidden"])
    assert torch.equal(spikes, golden["spikes"])
    torch.testing.assert_close(seen["last.v"], golden["mem"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen["last.i"], golden["syn"], rtol=1e-5, atol=1e-6)


def test_read_in_exact_steps_it_is_another_network():
    graph, golden = snntorch_net()
    spikes, _ = from_nir(graph, dt=1e-4)(golden["x"])
    assert not torch.equal(spikes, golden["spikes"])


def euler(node, x, dt):
    """A reader's own loop over one node: the current first, then the membrane with the new current, the reset in the step of the spike."""
    v, i, vs, ys = 0 * node.r, 0 * node.r, [], []
    for moment in x:
        i = i + dt / node.tau_syn * (node.w_in * moment - i) if hasattr(node, "tau_syn") else moment
        v = v + dt / getattr(node, "tau_mem", getattr(node, "tau", None)) * (node.v_leak - v + node.r * i)
        spike = (v > node.v_threshold) * 1.0 if hasattr(node, "v_threshold") else v
        v = np.where(spike > 0, node.v_reset, v) if hasattr(node, "v_threshold") else v
        vs.append(v)
        ys.append(spike)
    return torch.from_numpy(np.array(vs)), torch.from_numpy(np.array(ys))


CELLS = [
    LI(4, tau=TAUS, dt=1e-3),
    LIF(4, tau=TAUS, threshold=[0.5, 1.0, 2.0, 3.0], dt=1e-3, reset=Reset("hard", value=-0.25)),
    PLIF(4, tau=TAUS, threshold=0.6, dt=1e-3),
    CubaLIF(4, tau=TAUS, tau_syn=[0.003, 0.005, 0.002, 0.01], threshold=0.8, dt=1e-3, reset="hard"),
    Membrane(4, tau=TAUS, r=1.5, v_leak=0.0, v_threshold=0.7, v_reset=[0.0, -0.1, 0.1, 0.2], dt=1e-3),
    CubaMembrane(4, tau=TAUS, tau_syn=0.003, w_in=[2.0, 3.0, 4.0, 5.0], v_threshold=0.9, dt=1e-3),
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)
def test_written_for_euler_a_readers_own_loop_gives_our_trace_and_so_does_the_way_back(cell):
    cell = cell.double()
    x = 2 * torch.rand(200, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    graph = to_nir(cell, scheme="euler")
    (node,) = (node for node in graph.nodes.values() if isinstance(node, nir.ir.NIRNode) and hasattr(node, "r"))
    v, y = euler(node, x.numpy(), 1e-3)
    s, mine, states = None, [], []
    for moment in x:
        out, s = cell.step(moment, s)
        mine.append(out)
        states.append(s.v)
    assert torch.stack(mine).any()
    torch.testing.assert_close(torch.stack(mine), y, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(torch.stack(states), v, rtol=1e-9, atol=1e-9)
    again = from_nir(graph)
    assert type(again) is type(cell)
    torch.testing.assert_close(again(x)[0], y, rtol=1e-9, atol=1e-9)


def test_a_whole_network_comes_back_from_eulers_steps():
    net = Chain(Dense(5, 4), Recurrent(LIF(4, dt=1e-3)), Dense(4, 3), readout=LI(3, dt=1e-3))
    x = 3 * torch.rand(60, 2, 5, generator=torch.Generator().manual_seed(0))
    again = from_nir(to_nir(net, scheme="euler"))
    assert type(again.layers[1]) is Recurrent
    torch.testing.assert_close(again(x)[0], net(x)[0])


def test_membranes_change_between_the_schemes_without_a_change_of_trace():
    x = 2 * torch.rand(80, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for first, second in (("exact", "euler"), ("euler", "exact")):
        cell = Membrane(4, tau=TAUS, v_threshold=0.7, dt=1e-3, scheme=first).double()
        again = from_nir(to_nir(cell, scheme=second))
        assert again.scheme == second
        torch.testing.assert_close(again(x)[0], cell(x)[0])
    with pytest.raises(ValueError, match=r"which no exact step equals; write it with scheme='euler'\.$"):
        to_nir(Membrane(1, tau=1e-3, dt=1e-3, scheme="euler"))


def test_the_reset_of_a_graph_without_notes_can_be_said():
    one = np.ones(1)
    graph = nir.NIRGraph.from_list(nir.LIF(tau=0.01 * one, r=one, v_leak=0 * one, v_threshold=0.5 * one, v_reset=0.125 * one))
    x = torch.full((1, 1), 8.0, dtype=torch.float64)
    hard, soft = (from_nir(graph, dt=1e-3, dtype=torch.float64, reset=reset)(x)[1] for reset in ("hard", "soft"))
    assert float(hard.v) == 0.125
    assert float(soft.v) == pytest.approx(8 * (1 - np.exp(-0.1)) - (0.5 - 0.125), rel=1e-12)


@pytest.mark.parametrize("how", [{"scheme": "midpoint"}, {"reset": "none"}])
def test_other_words_are_refused_in_one_sentence(how):
    with pytest.raises(ValueError, match=r"^\w+ is 'exact' or 'euler'.*\.$|^reset is 'hard' or 'soft'.*\.$"):
        from_nir(to_nir(LIF(4, dt=1e-3)), **how)
