"""Against the trace that NIR's authors published: one LIF neuron under given pulses, solved from event to event."""

import numpy as np
import pytest
import torch

from neuropil.exchange import from_nir

nir = pytest.importorskip("nir")

# github.com/neuromorphs/NIR at 7232ada, paper/01_lif: the neuron of lif_norse.nir; input (column 1), potential at the end of each step (column 2) and steps
# with a spike (column 3) of lif_exact.csv, which lif_exact_sim.ipynb made; the times of the spikes as that notebook prints them.
#   python -c "import numpy as np; a = np.loadtxt('lif_exact.csv', delimiter=','); print(np.flatnonzero(a[:, 0]), a[[60, 100, 320, 459], 1], np.flatnonzero(a[:, 2]))"
DT, STEPS = 1e-4, 1000
PULSES = (60, 220, 270, 310, 320, 350, 370, 400, 410, *range(430, 540, 10), *range(670, 790, 10), 840, 850)
POTENTIALS = {
    60: 0.03921056170668949,
    100: 0.007916475594079975,
    320: 0.07152011893629753,
    441: 0.08576489218787127,
    459: 0.06910253449746723,
}
SPIKES, TIMES = (460, 510, 710, 760), (0.046084, 0.051090, 0.071092, 0.076091)


def neuron(finer=1):
    one = np.ones(1)
    node = nir.LIF(tau=0.0025 * one, r=one, v_leak=0 * one, v_threshold=0.1 * one, v_reset=0 * one)
    return from_nir(nir.NIRGraph.from_list(node), dt=DT / finer, dtype=torch.float64).use(backend="torch")


def pulses(finer=1):
    x = torch.zeros(STEPS, 1, dtype=torch.float64)
    x[list(PULSES)] = 1
    return x.repeat_interleave(finer, 0)


def test_the_potential_before_the_first_spike_and_the_steps_of_all_spikes_are_the_published_ones():
    cell, x = neuron(), pulses()
    s, v, y = None, [], []
    for moment in x:
        spike, s = cell.step(moment, s)
        v.append(float(s.v))
        y.append(float(spike))
    assert tuple(np.flatnonzero(y)) == SPIKES
    for step, potential in POTENTIALS.items():
        assert v[step] == pytest.approx(potential, rel=1e-7)


def test_the_times_of_the_spikes_tend_to_the_published_ones_in_proportion_to_dt():
    for finer in (1, 3, 9):
        y, _ = neuron(finer)(pulses(finer))
        times = (torch.nonzero(y[:, 0]).flatten() + 1) * DT / finer
        late = times - torch.tensor(TIMES, dtype=torch.float64)
        assert len(times) == len(TIMES)
        assert (late > -1e-6).all(), "a spike is seen at the end of its step"
        assert (late < DT / finer + 1e-6).all()
