from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from neuropil.networks import SpikingNet


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_net_stepped_by_hand() -> None:
    """Two inputs, two hidden neurons, one read-out, whole delays: numpy, moment by moment, with normalisation as remembered."""
    net = SpikingNet([2, 2, 1], dt=0.01, tau=0.02, max_delay=3, generator=seeded(4)).double().eval()
    with torch.no_grad():
        for synapse in net.synapses():
            synapse.discretise_()
            synapse.weight.copy_(synapse.weight.abs() + 0.5)
        net.norm1.running_mean.copy_(torch.tensor([0.2, -0.1]))
        net.norm1.running_var.copy_(torch.tensor([0.5, 2.0]))
        net.norm1.weight.copy_(torch.tensor([1.5, 0.8]))
    x = (torch.rand(30, 1, 2, generator=seeded(1)) < 0.4).double()
    (w1, d1), (w2, d2) = ((s.weight.detach().numpy(), s.delay.detach().long().numpy()) for s in net.synapses())
    decay, v, out, spikes, expected = math.exp(-0.5), np.zeros(2), 0.0, np.zeros((30, 2)), []
    sound = x[:, 0].numpy()
    for t in range(30):
        current = np.array([sum(w1[m, n] * sound[t - d1[m, n], n] for n in range(2) if t >= d1[m, n]) for m in range(2)])
        current = (current - [0.2, -0.1]) / np.sqrt(np.array([0.5, 2.0]) + 1e-5) * [1.5, 0.8]
        v = decay * v + current
        spikes[t] = v >= 1
        v = np.where(spikes[t] > 0, 0.0, v)
        out = decay * out + sum(w2[0, n] * spikes[t - d2[0, n], n] for n in range(2) if t >= d2[0, n])
        expected.append(out)
    y, _ = net(x)
    assert 5 < spikes.sum() < 50
    assert y[:, 0, 0].tolist() == pytest.approx(expected, rel=1e-6, abs=1e-6)  # the decay is kept in single precision


def test_sequence_and_steps_agree_in_testing() -> None:
    net = SpikingNet([3, 5, 4, 2], dt=0.01, max_delay=4, dropout=0.3, generator=seeded()).double().eval()
    x, state, ys = torch.rand(12, 2, 3, generator=seeded(1), dtype=torch.float64), None, []
    for moment in x:
        y, state = net.step(moment, state)
        ys.append(y)
    torch.testing.assert_close(torch.stack(ys), net(x)[0])


def test_without_delays_nothing_comes_late_and_no_delay_is_trained() -> None:
    net = SpikingNet([3, 5, 2], dt=0.01, generator=seeded())
    assert not any("delay" in name for name, _ in net.named_parameters())
    assert sum(p.numel() for p in net.parameters()) == 3 * 5 + 5 * 2 + 2 * 5
    delayed = SpikingNet([140, 256, 256, 20], dt=0.01, max_delay=24, generator=seeded())
    assert sum(p.numel() for p in delayed.parameters()) == 214_016  # the authors' network for SHD, 0.2 M in their table
    assert len(list(delayed.synapses())) == 3


def test_delays_get_gradients_and_the_start_is_the_generators() -> None:
    first, second = (SpikingNet([4, 6, 3], dt=0.01, max_delay=5, generator=seeded(2)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    x = (torch.rand(15, 8, 4, generator=seeded()) < 0.3).float()
    first(x)[0].square().mean().backward()
    assert all(s.delay.grad is not None and s.delay.grad.abs().sum() > 0 for s in first.synapses())


def test_bad_sizes() -> None:
    with pytest.raises(ValueError, match="at least two sizes"):
        SpikingNet([4], dt=0.01)
    with pytest.raises(ValueError, match="dt"):
        SpikingNet([4, 3], dt=-1.0)
