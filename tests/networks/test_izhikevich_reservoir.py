import numpy as np
import pytest
import torch

from neuropil.networks import izhikevich_reservoir, synaptic_traces


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


def test_it_runs_as_the_published_loop_written_again_in_numpy():
    n, steps = 30, 300
    net = izhikevich_reservoir(n, inputs=10, gain=20.0, bias=4.0, generator=drawn()).double()
    x = 6 * torch.rand(steps, n, generator=drawn(1), dtype=torch.float64)
    found, _ = net(x)
    cell = net.network.cell
    a, b, c, d = (getattr(cell, name).detach().numpy() for name in "abcd")
    weight = net.network.synapse.effective().detach().numpy()
    v, fired, spikes = np.full(n, -65.0), np.zeros(n), []
    u = b * v
    for current in x.numpy():
        total = current + 4.0 + weight @ fired
        for _ in range(2):
            v = v + 0.5 * (0.04 * v**2 + 5 * v + 140 - u + total)
        u = u + a * (b * v - u)
        fired = (v >= 30).astype(float)
        v, u = np.where(fired > 0, c, v), u + d * fired
        spikes.append(fired)
    assert np.sum(spikes) > 20
    np.testing.assert_array_equal(found.numpy(), np.array(spikes))


def test_cells_are_those_of_the_published_population():
    cell = (net := izhikevich_reservoir(1000, generator=drawn())).network.cell
    inhibits = net.network.synapse.inhibitory
    assert inhibits.sum() == 200
    assert ((cell.c[~inhibits] >= -65) & (cell.c[~inhibits] <= -50)).all()
    assert ((cell.d[~inhibits] >= 2) & (cell.d[~inhibits] <= 8)).all()
    torch.testing.assert_close((cell.c[~inhibits] + 65) / 15, (8 - cell.d[~inhibits]) / 6, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close((cell.a[inhibits] - 0.02) / 0.08, (0.25 - cell.b[inhibits]) / 0.05, rtol=1e-3, atol=1e-4)
    assert cell.a[~inhibits].min() < 0.0025
    assert cell.a[~inhibits].max() > 0.025
    assert (cell.b[~inhibits] == 0.2).all()


def test_without_heterogeneity_cells_of_a_kind_are_alike_and_wired_as_before():
    alike, many = (izhikevich_reservoir(50, inputs=10, heterogeneity=h, generator=drawn()) for h in (0.0, 1.0))
    assert alike.network.cell.a.unique().numel() == 2
    assert alike.network.cell.d.unique().tolist() == [2.0, 6.5]
    assert (alike.network.synapse.weight == many.network.synapse.weight).all()
    with pytest.raises(ValueError, match="heterogeneity is a share"):
        izhikevich_reservoir(50, heterogeneity=1.5)


def test_traces_are_double_exponentials():
    spike = torch.zeros(400, 5, dtype=torch.float64)
    spike[0] = 1
    found, _ = synaptic_traces(5, rise=0.01, decay=(0.05, 0.2), generator=drawn()).double()(spike)
    t = torch.arange(400, dtype=torch.float64)
    for k in range(5):
        ratio = float(found[-1, k] / found[-2, k])
        tau = -1 / np.log(ratio)
        fast, slow = np.exp(-1 / 10), np.exp(-1 / tau)
        assert 50 <= tau <= 200
        torch.testing.assert_close(found[:, k], (slow ** (t + 1) - fast ** (t + 1)) / (slow - fast), rtol=1e-4, atol=1e-6)
    same, _ = synaptic_traces(5, decay=(0.05, 0.2), heterogeneity=0.0).double()(spike)
    assert (same == same[:, :1]).all()
