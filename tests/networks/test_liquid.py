"""Liquid: run event by event it is its own step, which is a literal reading of the authors' equations; wiring falls with distance."""

import math

import numpy as np
import pytest
import torch

from neuropil.networks import Liquid, lattice_wiring
from neuropil.networks.liquid_kernel import compiled, spread


def liquid(shape=(4, 4, 4), inputs=20, **settings):
    given = {"density": 0.4, "gain": 0.2, "fade": 0.99, "generator": torch.Generator().manual_seed(0), **settings}
    return Liquid(shape, inputs, **given).double()


def drive(samples=3, steps=60, inputs=20, rate=0.15):
    return (torch.rand(samples, steps, inputs, generator=torch.Generator().manual_seed(1)) < rate).to(torch.uint8)


def literal(net, spikes):
    """The authors' loop for one sample, synapse by synapse: a timer a synapse, and updates in the order of their code."""
    rule, k, m = net.rule, net.size, net.out_size
    post, pre = (ends.numpy() for ends in rule.connected.nonzero(as_tuple=True))
    w, tau = rule.weight[post, pre].numpy().copy(), net.tau[post, pre].numpy()
    low, high, inhibits = rule.lowest[pre].numpy(), rule.highest[pre].numpy(), (rule.excites == 0)[pre].numpy()
    v, refractory, timer, trace = np.zeros(m), np.zeros(m), np.full(len(w), 1e9), np.zeros(k + m)
    up = a = b = float(rule.potentiation)
    gain, seen, d = float(rule.gain), [], math.exp(-0.1)
    for x in spikes.numpy():
        fires = v * (1 - np.clip(refractory, 0, 1)) >= net.threshold
        v = np.where(fires, 0.0, v)
        s = np.concatenate([x, fires]).astype(float)
        timer = np.where(s[pre] > 0, 0.0, timer)
        v = v + np.bincount(post, w * np.exp(-timer / tau) / tau, m) - v / 64
        timer = timer + 1
        refractory = np.where(fires, 2.0, refractory - 1)
        by_post = np.where(inhibits, -a, up) * trace[pre] * s[k + post]
        by_pre = np.where(inhibits, up, -a) * trace[k + post] * s[pre]
        w = np.clip(w + by_post + by_pre, low, high)
        trace = d * (trace + 0.1 * s)
        a = a + (gain * (s[k:].sum() - s[:k].sum()) + b - a) / 100
        up, a, b, gain = (0.99 * each for each in (up, a, b, gain))
        seen.append(fires)
    return np.array(seen), w, a, (post, pre)


def test_steps_are_the_authors_loop():
    net, x = liquid(), drive(1)
    expected, w, a, place = literal(net, x[0])
    y, s = net(x[0].double())
    assert 100 < expected.sum() < 2000
    assert (y.numpy() == expected).all()
    np.testing.assert_allclose(s.synapses.w[place].numpy(), w, atol=1e-7)
    assert float(s.synapses.astrocyte) == pytest.approx(a, rel=1e-5)
    assert np.abs(w - net.rule.weight[place].numpy()).max() > 0.05


@pytest.mark.parametrize("settings", [{}, {"gain": 0.0}, {"fade": 1.0, "potentiation": 0.6}, {"weight": 1.0, "threshold": 4.0}])
def test_samples_run_event_by_event_are_the_steps(settings):
    net, x = liquid(**settings), drive()
    before = net.rule.weight.clone()
    found = net.respond(x, recorded=2)
    y, s = net(x.permute(1, 0, 2).double())
    assert (found.counts == y.sum(0)).all()
    assert (found.spikes == y.permute(1, 0, 2)[:2]).all()
    assert found.counts.sum() > 100
    torch.testing.assert_close(found.astrocyte[:, 0], torch.full((3,), float(net.rule.baseline), dtype=torch.float64))
    assert (net.rule.weight == before).all()
    one = net.settle(x[:1])
    torch.testing.assert_close(net.rule.weight, s.synapses.w[0], rtol=1e-6, atol=1e-8)
    assert (one.counts == found.counts[:1]).all()


def test_settling_keeps_weights_from_sample_to_sample():
    net, other, x = liquid(), liquid(), drive()
    whole = net.settle(x)
    parts = [other.settle(x[i : i + 1]) for i in range(3)]
    assert (torch.cat([part.counts for part in parts]) == whole.counts).all()
    torch.testing.assert_close(net.rule.weight, other.rule.weight, rtol=0, atol=1e-6)


def test_without_plasticity_only_the_spikes_are_read():
    net, still = liquid(), liquid(potentiation=0.0, gain=0.0)
    x = drive()
    assert (net.respond(x, plastic=False).counts == still.respond(x).counts).all()
    assert (net.respond(x).counts != still.respond(x).counts).any()


def test_it_runs_the_same_without_numba(monkeypatch):
    pytest.importorskip("numba")
    assert compiled() is not spread
    net, x = liquid((2, 3, 3), 6), drive(2, 30, 6, 0.4)
    fast = net.respond(x, recorded=1)
    monkeypatch.setattr("neuropil.networks.liquid.compiled", lambda: spread)
    slow = net.respond(x, recorded=1)
    assert (fast.counts == slow.counts).all()
    assert fast.counts.sum() > 5


def test_wiring_falls_with_distance_and_depends_on_kind():
    shape, draws = (12, 12, 12), torch.Generator().manual_seed(0)
    wired = lattice_wiring(shape, inhibitory=346, generator=draws)
    assert wired.diagonal().sum() == 0
    places = torch.cartesian_prod(*(torch.arange(12.0) for _ in shape))[torch.randperm(1728, generator=torch.Generator().manual_seed(0))]
    near = (torch.cdist(places, places) - 1).abs() < 1e-3
    excites = torch.arange(1728) < 1728 - 346
    for target, source, density in ((True, True, 0.2), (False, True, 0.1), (True, False, 0.3), (False, False, 0.05)):
        pairs = near & (excites == target).unsqueeze(1) & (excites == source)
        expected, n = density * math.exp(-1 / 9), int(pairs.sum())
        assert wired[pairs].mean().item() == pytest.approx(expected, abs=4 * math.sqrt(expected / n))


def test_a_liquid_has_the_input_synapses_and_signs_asked_for():
    net = liquid((5, 5, 5), 30, density=0.2, weight=2.0)
    outer = net.rule.weight[:, :30]
    assert (outer != 0).double().mean().item() == pytest.approx(0.2, abs=0.001)
    assert set(outer.unique().tolist()) == {-2.0, 0.0, 2.0}
    assert (net.rule.weight[:, 30:130] >= 0).all()
    assert (net.rule.weight[:, 130:] <= 0).all()
    assert set(net.tau.unique().tolist()) == {1.0, 2.0}


def test_samples_that_do_not_fit():
    with pytest.raises(ValueError, match=r"samples u8 \[S, T, 20\]"):
        liquid().respond(drive().float())
