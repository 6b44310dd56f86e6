import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.continual import GradientProjection, HebbianSubspace, Subspace
from neuropil.studies.continual import hlop_snn_continual as hlop
from neuropil.studies.continual.hlop_snn_continual import Replay, SpikingNet, begin, close, draw_images, draw_rows, study, swap

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)


@pytest.fixture(scope="module")
def outcomes():
    """Every arm at one learning rate, so that only its mechanism differs."""
    return {name: study.compute(at_one_rate(name), SMOKE, [SEED])[0] for name in study.arms}


def at_one_rate(name):
    return Settings(name, {**study.arms[name], "learning_rate": 0.4})


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


def small_net(sizes=(7, 6, 5, 3), steps=5, gain=4.0):
    net = SpikingNet(sizes, steps, [SEED, Seed(1001)])
    for weight in net.weights:
        weight *= gain
    return net


def some_batch(inputs=7, classes=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 11, inputs, generator=generator), torch.randint(classes, (2, 11), generator=generator)


def test_the_net_is_the_papers_neuron_by_neuron():
    """Leaky integration, a spike at 0.3 of V, reset by V, output V / dt a spike and means weighted by exp(-(steps - t) dt), one number at a time."""
    net, (x, _) = small_net(), some_batch()
    dt, big = 1 / 5, 0.3
    seen = net.forward(x)
    weigh = [math.exp(-(5 - t) * dt) for t in range(1, 6)]
    fired = 0
    for seed in range(2):
        for item in range(11):
            inputs = [x[seed, item].numpy().astype(float)] * 5
            for layer in range(2):
                weight = net.weights[layer][seed].numpy().astype(float)
                v, outputs, currents = np.zeros(len(weight)), [], []
                for moment in inputs:
                    current = weight @ moment
                    v = math.exp(-dt) * v + (1 - math.exp(-dt)) * current
                    spike = v >= 0.3 * big
                    v = v - spike * big
                    outputs.append(spike * big / dt)
                    currents.append(current)
                    fired += int(spike.sum())
                trace = sum(w * o for w, o in zip(weigh, outputs, strict=True)) / sum(weigh)
                mean = sum(w * c for w, c in zip(weigh, currents, strict=True)) / sum(weigh)
                np.testing.assert_allclose(seen.traces[layer + 1][seed, item].numpy(), trace, atol=1e-4)
                np.testing.assert_array_equal(seen.open[layer][seed, item].numpy(), (mean > 0) & (mean < big / dt))
                inputs = outputs
            logits = net.weights[2][seed].numpy() @ trace
            np.testing.assert_allclose(seen.logits[seed, item].numpy(), logits, atol=1e-3)
    assert 50 < fired < 0.6 * 2 * 11 * 11 * 5
    assert 0.1 < np.mean([part.float().mean().item() for part in seen.open]) < 0.9
    assert_close(seen.firing.mean().item(), fired / (2 * 11 * 5 * 11), atol=0.05, rtol=0)


def test_the_update_is_autograds_through_the_spike_representation():
    net, (x, labels) = small_net(), some_batch()
    seen = net.forward(x)
    weights = [weight.clone().requires_grad_() for weight in net.weights]
    trace = x
    for k, weight in enumerate(weights[:-1]):
        smooth = (trace @ weight.mT).clamp(0, 0.3 * 5)
        trace = smooth + (seen.traces[k + 1] - smooth).detach()  # the value of spikes, the slope of the clamp
    logits = trace @ weights[-1].mT
    assert_close(logits, seen.logits)
    loss = sum(torch.nn.functional.cross_entropy(logits[s], labels[s]) for s in range(2))
    gradients = torch.autograd.grad(loss, weights)
    assert all(gradient.abs().max() > 1e-3 for gradient in gradients)
    before = [weight.clone() for weight in net.weights]
    net.learn(seen, labels, seen.traces, 0.5)
    for was, now, gradient in zip(before, net.weights, gradients, strict=True):
        assert_close(was - now, 0.5 * gradient, atol=1e-6, rtol=1e-4)


def test_learning_off_the_exact_subspace_of_old_images_leaves_their_logits():
    """Old traces span few directions here: closed to updates in every layer, the whole spiking net answers old images as before."""
    net, (new, labels) = small_net(), some_batch()
    old = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(5))
    before = net.forward(old)
    free = small_net()
    memories = [GradientProjection(size, leading=(2,)) for size in (7, 6, 5)]
    for memory, trace in zip(memories, before.traces, strict=True):
        memory.add(trace, rank=3)
    for each, project in ((net, True), (free, False)):
        for _ in range(10):
            seen = each.forward(new)
            traces = [m.project(t) if project else t for m, t in zip(memories, seen.traces, strict=True)]
            each.learn(seen, labels, traces, 0.1)
    assert_close(net.forward(old).logits, before.logits, atol=1e-4, rtol=0)
    assert (net.forward(new).logits - small_net().forward(new).logits).abs().max() > 0.01
    assert (free.forward(old).logits - before.logits).abs().max() > 0.1


def test_images_are_one_set_permuted_and_no_image_is_tested_twice():
    images = draw_images(SMOKE, [SEED, Seed(1001)])
    (first, y), (second, again) = images.task(images.train, 0), images.task(images.train, 1)
    assert torch.equal(first, images.train[0])
    assert torch.equal(y, again)
    assert torch.equal(first.sort(-1).values, second.sort(-1).values)
    assert not torch.equal(first, second)
    assert_close(first.mean((1, 2)), torch.zeros(2), atol=1e-5, rtol=0)
    blocks = [images.tested(task) for task in range(SMOKE.tasks)]
    assert [block[0].shape[1] for block in blocks] == [100] * 3
    assert torch.equal(torch.cat([block[1] for block in blocks], dim=1), images.test[1])
    assert not torch.equal(images.train[0][0], images.train[0][1])


@pytest.mark.parametrize("arm", list(study.arms))
def test_every_arm_returns_the_declared_metrics(outcomes, arm):
    found = numbers(outcomes[arm])
    assert set(study.metrics) - set(found) <= ({"overlap"} if arm in ("none", "replay", "off") else set())
    assert set(found) <= set(study.metrics)
    assert all(math.isfinite(value) for value in found.values())


def test_off_is_no_projection_exactly(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["none"])
    assert numbers(outcomes["hlop"]) != numbers(outcomes["none"])


def test_arms_share_everything_but_the_mechanism(outcomes):
    assert len({outcomes[name]["first_accuracy"] for name in study.arms}) == 1  # before any projection all nets are one net
    for name in ("random", "svd", "examples", "hlop_released_rates", "swapped"):
        for matched in ("stored", "parameters", "steps", "samples"):
            assert outcomes[name][matched] == outcomes["hlop"][matched]
        learned = (
            name == "hlop_released_rates"
        )  # lateral rows that have hardly learned are not yet orthogonal to the old ones, and close less
        assert outcomes[name]["frozen_share"] == pytest.approx(8 / 24, abs=0.05 if learned else 1e-4)
    assert 0.25 < outcomes["hlop"]["frozen_share"] < 8 / 24 + 0.01
    for name in ("random", "examples"):
        assert {**at_one_rate(name), "subspace": None} == {**at_one_rate("hlop"), "subspace": None}
    assert outcomes["svd"]["captured_energy"] > outcomes["hlop"]["captured_energy"] > outcomes["random"]["captured_energy"] + 0.2


def test_a_batch_of_seeds_is_its_seeds_alone(outcomes):
    for name in ("hlop", "replay"):
        both = study.compute(at_one_rate(name), SMOKE, [Seed(1001), SEED])
        assert numbers(both[1]) == pytest.approx(numbers(outcomes[name]), abs=1e-6)
        assert numbers(both[0]) != pytest.approx(numbers(outcomes[name]), abs=0.02)


def test_protection_is_measured_not_assumed():
    """Two of five directions closed by rows of length 1 and of 1 / sqrt(2): 1 - (1 - 1)^2 and 1 - (1 - 1/2)^2 of the energy along them."""
    rows = torch.zeros(2, 2, 5)
    rows[:, 0, 0], rows[:, 1, 1] = 1.0, 0.5**0.5
    net, x = small_net((5, 4, 3)), torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(0))
    memory, empty = (Subspace(size, leading=(2,)) for size in (5, 4))
    memory.rows = rows
    along = torch.tensor([1.0, 0.75, 0, 0, 0])
    for seed, found in enumerate(hlop.protection(net, [memory, empty], 1.0, [x, x.flip(-1)], 7)):
        share = [(part[seed].square() * along).sum() / part[seed].square().sum() for part in (x, x.flip(-1))]
        assert found["captured_energy"] == pytest.approx(share[0].item() / 2, abs=1e-5)  # the mean of two layers
        assert found["taken_energy"] == pytest.approx(share[1].item() / 2, abs=1e-5)
        assert found["frozen_share"] == pytest.approx(1.75 / 5, abs=1e-5)
        assert found["stored"] == 2 * 5 + 7
    for found in hlop.protection(net, [memory, empty], 0.0, [x, x], 0):
        assert found["frozen_share"] == found["captured_energy"] == found["taken_energy"] == found["stored"] == 0


def generators():
    return [seed.torch("lateral") for seed in (SEED, Seed(1001))]


def test_each_arm_closes_what_it_says():
    traces = [torch.randn(2, 50, n, generator=torch.Generator().manual_seed(n)) * torch.linspace(3, 0.1, n) for n in (9, 8)]
    rows = {}
    for kind in ("hebbian", "random", "svd", "examples", None):
        arm = Settings("arm", {**study.arms["hlop"], "subspace": kind})
        memories = begin(arm, [9, 8, 2], 2)
        for memory in memories:
            if isinstance(memory, HebbianSubspace):
                memory.grow(draw_rows(3, memory.size, generators()))
        close(memories, arm, (3, 3), traces, generators())
        rows[kind] = memories[0].rows
    exact = np.linalg.svd(traces[0][0].numpy())[2][:3]
    assert_close(rows["svd"][0].mT @ rows["svd"][0], torch.from_numpy(exact.T @ exact), atol=1e-4, rtol=0)
    first = traces[0][0, :3]  # the three examples themselves: nothing of them is left outside
    assert_close(first - first @ rows["examples"][0].mT @ rows["examples"][0], torch.zeros(3, 9), atol=1e-4, rtol=0)
    spans = [rows[kind].mT @ rows[kind] for kind in ("hebbian", "random")]
    assert_close(*spans, atol=1e-5, rtol=0)  # what has not learned is the random control
    assert rows[None].shape == (2, 0, 9)


def test_the_rates_are_the_released_ones_times_a_scale():
    released = begin(Settings("arm", study.arms["hlop_released_rates"]), [9, 8, 7, 2], 1)
    assert [memory.rate for memory in released] == [0.001, 0.01, 0.01]
    assert [memory.rate for memory in begin(Settings("arm", study.arms["hlop"]), [9, 8, 7, 2], 1)] == pytest.approx([0.005, 0.05, 0.05])


def test_swapping_keeps_ranks_and_loses_what_was_learned():
    arm = Settings("arm", study.arms["svd"])
    x = torch.randn(2, 50, 30, generator=torch.Generator().manual_seed(0)) * 0.7 ** torch.arange(30)
    memories = begin(arm, [30, 2], 2)
    close(memories, arm, (6,), [x], generators())
    (fresh,) = swap(memories, generators())
    assert type(fresh) is Subspace
    assert fresh.rank == 6
    assert_close(fresh.rows @ fresh.rows.mT, torch.eye(6).expand(2, 6, 6), atol=1e-5, rtol=0)
    assert (memories[0].captured(x) > 0.9).all()
    assert (fresh.captured(x) < 0.6).all()


def test_swapped_is_hlop_until_the_swap(outcomes):
    assert {**study.arms["swapped"], "swapped": None} == {**study.arms["hlop"], "swapped": None}
    late = Settings("late", {**study.budgets["smoke"], "swap_at": 99})
    never = study.compute(at_one_rate("swapped"), late, [SEED])[0]
    assert numbers(never) == numbers(outcomes["hlop"])
    assert outcomes["swapped"]["captured_energy"] < outcomes["hlop"]["captured_energy"] - 0.2


def test_replay_shows_old_images_beside_the_batch_and_keeps_as_many_numbers():
    replay, (x, y) = Replay([SEED, Seed(1001)]), some_batch()
    assert replay.stored == 0
    assert replay.beside(x, y)[0] is x
    old_x, old_y = x[:, :3] + 100, torch.full((2, 3), 7)
    replay.keep(old_x, old_y)
    both_x, both_y = replay.beside(x, y)
    assert replay.stored == 3 * 8
    assert torch.equal(both_x[:, :11], x)
    assert (both_y[:, 11:] == 7).all()
    for s in range(2):
        assert {tuple(row) for row in both_x[s, 11:].tolist()} <= {tuple(row) for row in old_x[s].tolist()}
    desk = study.budgets["desk"]
    lateral = sum(r * n for r, n in zip(desk["ranks"][0], (196, 300, 300), strict=True))
    assert lateral // 197 * 197 == pytest.approx(lateral, rel=0.05)


def test_a_circuit_that_diverged_is_reported_and_stops_nothing():
    wild = study.compute(Settings("hlop", {**study.arms["hlop"], "hebbian_scale": 1e6}), SMOKE, [SEED])[0]
    assert wild["captured_energy"] < 0
    assert wild["accuracy"] < 0.3


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {arm: [outcome] for arm, outcome in outcomes.items()})
    few = Table([1000], {arm: [outcomes[arm]] for arm in ("hlop", "random")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)


def test_the_full_run_closes_as_many_directions_as_the_released_code():
    """80, 200, 100 rows after the first task, then 70, less 20 at every third task."""
    ranks = study.budgets["full"]["ranks"]
    more, expected = 70, [(80, 200, 100)]
    for task in range(1, 9):
        more -= 20 * (task % 3 == 0)
        expected.append((more,) * 3)
    assert ranks[:1] == (expected[0],)
    assert [ranks[min(task, len(ranks) - 1)] for task in range(9)] == expected
    assert hlop.THRESHOLD == hlop.FIRES_AT == 0.3
