import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from neuropil.cells import EchoUnit
from neuropil.interpret import memory_capacity, memory_curve
from neuropil.networks import Reservoir
from neuropil.synapses import Dense

GOLDEN = json.loads((Path(__file__).parent / "golden" / "reservoirpy_memory.json").read_text())


def reservoirs_numbers(case):
    """As golden/reservoirpy_memory.py draws them."""
    rng = np.random.RandomState(case["seed"])
    w = rng.normal(size=(case["units"], case["units"]))
    w *= case["radius"] / np.abs(np.linalg.eigvals(w)).max()
    drawn = w, rng.uniform(-case["scale"], case["scale"], size=(case["units"], 1)), rng.uniform(-0.8, 0.8, size=(1500, 1))
    return [torch.from_numpy(one) for one in drawn]


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"leak {case['leak']}, {case['units']} units")
def test_the_capacity_that_reservoirpy_measures_of_the_same_network(case):
    w, w_in, series = reservoirs_numbers(case)
    n, lags = case["units"], GOLDEN["lags"]
    net = Reservoir(EchoUnit(n, leak=case["leak"]), Dense(n, n), Dense(1, n), bias=case["bias"]).double()
    net.network.synapse.weight.copy_(w)
    net.drive.weight.copy_(w_in)
    net.network.cell.leak.fill_(case["leak"])
    net.bias.fill_(case["bias"])
    x = series[lags:]  # where reservoirpy starts its network; it fits after as many moments again
    states, _ = net(x)
    found = memory_curve(x[:, 0], states, lags, test=GOLDEN["test"], penalty=case["penalty"])
    np.testing.assert_allclose(found, case["curve"], rtol=1e-5, atol=1e-6)
    assert memory_capacity(x[:, 0], states, lags, test=GOLDEN["test"], penalty=case["penalty"]) == pytest.approx(
        sum(case["curve"]), rel=1e-5
    )
    assert 5 < sum(case["curve"]) < n


def test_a_delay_line_holds_exactly_its_length():
    x = torch.randn(600, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    line = torch.stack([torch.cat((torch.zeros(k, dtype=torch.float64), x[: len(x) - k])) for k in range(1, 8)], 1)
    curve = memory_curve(x, line, 12, test=200)
    torch.testing.assert_close(curve[:7], torch.ones(7, dtype=torch.float64))
    assert curve[7:].max() < 0.1
    assert memory_curve(x, torch.zeros(600, 2, dtype=torch.float64), 5, test=200, penalty=1.0).max() < 1e-12


def test_capacity_is_at_most_the_number_of_units():
    generator = torch.Generator().manual_seed(1)
    net = Reservoir.echo_state(10, 1, spectral_radius=0.95, input_scale=0.1, generator=generator).double()
    x = 2 * torch.rand(4000, 1, dtype=torch.float64, generator=generator) - 1
    assert 4 < memory_capacity(x[:, 0], net(x)[0], 40, test=2000) <= 10 + 40 * 5 / 2000


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="too few for 5 lags"):
        memory_curve(torch.zeros(10), torch.zeros(10, 2), 5, test=4)
    with pytest.raises(ValueError, match=r"takes x \[T\]"):
        memory_curve(torch.zeros(10, 1), torch.zeros(10, 2), 5, test=2)
    assert isinstance(Reservoir(EchoUnit(3), nn.Identity(), nn.Linear(1, 3)).drive, nn.Linear)
