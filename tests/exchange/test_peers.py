"""Two other simulators: one reads a graph of ours, of the other we read a graph. Spike times frozen from their own runs.

Both take steps by Euler, ``d = 1 - dt / tau`` for ``exp(-dt / tau)``, so times agree to a share ``dt / tau`` of themselves and a step.
norse 1.1.0 reads numbers ``r`` as 1, which a PLIF has. Made by, with norse 1.1.0, snntorch 1.0.0, nirtorch 2.6, nir 1.0.8::

    nir.write("plif.nir", to_nir(net))                      # ``ours`` below, in neuropil
    net, s, y = norse.torch.from_nir(nir.read("plif.nir"), dt=1e-4), None, []
    for moment in x: spikes, s = net(moment, s); y.append(spikes)

    linear.weight.data, linear.bias.data = W * 0.02, torch.tensor([0.0, 0.004, -0.002])
    leaky = snntorch.Leaky(beta=torch.full((3,), 0.99), threshold=torch.ones(3), reset_mechanism="zero", reset_delay=False, init_hidden=True)
    net = torch.nn.Sequential(linear, leaky)
    y = [net(moment) for moment in x]                       # x of 1000 moments
    leaky.mem = torch.zeros(3)
    graph = snntorch.export_nir.export_to_nir(net, torch.zeros(2))
"""

import numpy as np
import pytest
import torch

from neuropil.cells import PLIF
from neuropil.dynamics import Chain
from neuropil.exchange import from_nir, to_nir
from neuropil.synapses import Dense

nir = pytest.importorskip("nir")

DT = 1e-4
W = [[1.0, 0.5], [0.5, 1.5], [2.0, -0.5]]
NORSE = [
    [308, 568, 798, 1006, 1198, 1378, 1547, 1707, 1860],
    [575, 821, 1008, 1166, 1305, 1431, 1547, 1655, 1756, 1852, 1943],
    [109, 221, 336, 454, 575, 700, 829, 962, 1100, 1243, 1392, 1548, 1712, 1886],
]
# fmt: off
SNNTORCH = [
    [53, 104, 153, 200, 246, 290, 333, 375, 416, 456, 495, 533, 570, 607, 643, 678, 713, 747, 780, 813, 845, 877, 908, 939, 970, 1000],
    [81, 145, 200, 248, 292, 333, 371, 407, 441, 473, 504, 534, 563, 591, 618, 644, 669, 693, 717, 740, 763, 785, 807, 828, 849, 870, 890, 910, 930, 949, 968, 987],
    [25, 50, 75, 101, 127, 153, 179, 206, 233, 260, 288, 316, 344, 373, 402, 431, 461, 491, 522, 553, 584, 616, 648, 681, 714, 748, 783, 818, 854, 891, 928, 966],
]
# fmt: on


def ramp(T):
    return torch.stack((torch.full((T,), 1.2), torch.linspace(0, 1.5, T)), 1)[:, None]


def steps(y):
    return [(torch.nonzero(y[:, 0, n]).flatten() + 1).tolist() for n in range(3)]


def agree(found, frozen, tau):
    for one, other in zip(found, frozen, strict=True):
        assert abs(len(one) - len(other)) <= 1  # the last may lie beyond the end
        both = min(len(one), len(other))
        late = np.abs(np.array(one[:both]) - np.array(other[:both]))
        assert (late <= 1 + np.array(other[:both]) * DT / tau).all()


def test_norse_reads_our_graph_and_fires_as_we_do(tmp_path):
    ours = Chain(Dense(2, 3), PLIF(3, tau=0.02, dt=DT))
    ours.layers[0].weight.data = torch.tensor(W)
    nir.write(tmp_path / "plif.nir", to_nir(ours))
    again = from_nir(nir.read(tmp_path / "plif.nir"))
    agree(steps(again(ramp(2000))[0]), NORSE, tau=0.02)
    assert torch.equal(again(ramp(2000))[0], ours(ramp(2000))[0])


def test_we_read_a_graph_of_snntorch_and_fire_as_it_does():
    tau = np.full(3, 0.01000001, dtype=np.float32)
    lif = nir.LIF(tau=tau, r=np.full(3, 100.00009, dtype=np.float32), v_leak=0 * tau, v_threshold=np.ones(3, dtype=np.float32))
    affine = nir.Affine(weight=np.array(W, dtype=np.float32) * 0.02, bias=np.array([0.0, 0.004, -0.002], dtype=np.float32))
    nodes = {"input": nir.Input(np.array([2])), "0": affine, "1": lif, "output": nir.Output(np.array([3]))}
    net = from_nir(nir.NIRGraph(nodes, [("input", "0"), ("1", "output"), ("0", "1")]), dt=DT)
    agree(steps(net(ramp(1000))[0]), SNNTORCH, tau=0.01)
