"""Counted costs: by hand, and against what NeuroBench's own code counts (golden/neurobench_counts.py)."""

import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from neuropil.cells import LI, LIF, LeakyRate
from neuropil.dynamics import Chain
from neuropil.observe import count_operations
from neuropil.synapses import Conv, DelayedLinear, Dense, EventDense, Recurrent, Sparse

GOLDEN = Path(__file__).parent / "golden"
NUMBERS = json.loads((GOLDEN / "neurobench_counts.json").read_text())


@pytest.fixture(scope="module")
def golden():
    """The script that made the numbers, without NeuroBench: its weights and inputs."""
    source = (GOLDEN / "neurobench_counts.py").read_text()
    lines = [line for line in source.splitlines() if "neurobench." not in line.split("import")[0]]
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("golden_inputs", loader=None))
    module.__file__ = str(GOLDEN / "neurobench_counts.py")
    exec("\n".join(lines), module.__dict__)
    return module


def lif(size):
    return LIF(size, tau=1e-3 / -math.log(0.8), dt=1e-3)


@pytest.mark.parametrize("name", NUMBERS)
def test_neurobench_counts_the_same(golden, name):
    shape, kind = name.split()
    if shape == "pictures":
        net = golden.Pictures()
        x = golden.pattern(kind, 2, 4, 25).transpose(0, 1).unflatten(2, (5, 5))[None]
        model = Chain(conv=net.conv, relu=net.relu, flat=nn.Flatten(), fc=net.fc)
    else:
        net = golden.Spiking(shape == "recurrent")
        hidden = lif(8) if net.own is None else Recurrent(lif(8), net.own)
        model, x = Chain(net.fc1, hidden, net.fc2), golden.pattern(kind)
    found, asked = count_operations(model, x), NUMBERS[name]
    assert found.effective_macs == pytest.approx(asked["Effective_MACs"])
    assert found.effective_acs == pytest.approx(asked["Effective_ACs"])
    assert found.dense == asked["Dense"]
    assert found.activation_sparsity == pytest.approx(asked["activation_sparsity"])
    assert round(found.connection_sparsity, 4) == asked["connection_sparsity"]
    assert (found.parameters, found.footprint - 4 * sum(b.numel() for b in model.buffers())) == (asked["parameters"], asked["footprint"])


def test_by_hand():
    """Two inputs of three active at each of four moments, then one of two neurons spikes at every moment."""
    first, second = Dense(3, 2), nn.Linear(2, 4)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[2.0, 0.0, 2.0], [0.0, 0.0, 0.0]]))
    x = torch.tensor([1.0, 1.0, 0.0]).expand(4, 5, 3)
    found = count_operations(Chain(first, lif(2), second, LI(4, tau=0.1, dt=1e-3)), x)
    assert (found.effective_acs, found.effective_macs) == (4 * (1 + 4), 0)
    assert found.dense == 4 * (6 + 8)
    assert (found.spikes, found.activation_sparsity) == (4, 0.5)
    assert found.connection_sparsity == pytest.approx(4 / 14)
    graded = count_operations(Chain(first, lif(2), second), 2 * x)
    assert (graded.effective_macs, graded.effective_acs) == (4, 4 * 4)  # a half-active graded input, then spikes


def test_graded_cells_have_no_spikes_and_need_macs():
    found = count_operations(Chain(nn.Linear(3, 4), LeakyRate(4, dt=1e-3), nn.Linear(4, 2)), torch.ones(6, 2, 3))
    assert (found.spikes, found.effective_acs, found.effective_macs) == (0, 6 * 12, 6 * 8)
    assert found.activation_sparsity == 0


@pytest.mark.parametrize("make", [lambda: Sparse(6, 4, density=0.5), lambda: DelayedLinear(6, 4, max_delay=3), lambda: EventDense(6, 4)])
def test_synapses_of_every_kind_count_what_is_there(make):
    synapse = make()
    x = (torch.rand(7, 2, 6, generator=torch.Generator().manual_seed(3)) < 0.4).float()
    matrix = synapse.effective() if hasattr(synapse, "effective") else synapse.weight
    found = count_operations(Chain(synapse, lif(4)), x)
    assert found.effective_acs == float((x @ (matrix != 0).float().T).sum()) / 2
    assert found.dense == 7 * 24


def test_own_and_torch_convolutions_agree():
    own, theirs = Conv(2, 3, 3), nn.Conv2d(2, 3, 3, padding=1, bias=False)
    with torch.no_grad():
        theirs.weight.copy_(own.weight)
    x = (torch.rand(5, 2, 2, 6, 6, generator=torch.Generator().manual_seed(3)) < 0.3).float()
    assert count_operations(Chain(own), x) == count_operations(Chain(theirs), x)


def test_a_model_is_left_as_it_was():
    model = Chain(nn.Linear(3, 4), lif(4), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    count_operations(model, torch.ones(6, 2, 3))
    assert model.training
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_what_cannot_be_counted_is_refused_by_name():
    with pytest.raises(ValueError, match=r"cannot count 'words', a Embedding with the weights weight"):
        count_operations(nn.ModuleDict({"words": nn.Embedding(4, 3)}), torch.ones(2, 2, 3))
    with pytest.raises(ValueError, match=r"takes x \[T, B, \.\.\.\], time first, \[3\] was given"):
        count_operations(nn.Linear(3, 3), torch.ones(3))
