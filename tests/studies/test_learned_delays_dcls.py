import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.cells import LIF
from neuropil.dynamics import Arctan, Reset
from neuropil.networks import SpikingNet
from neuropil.studies.synapses import learned_delays_dcls as dcls
from neuropil.studies.synapses.learned_delays_dcls import Nets, Normalise, SpikeTrain, Task, delayed, permute_delays, shape, study
from neuropil.synapses import DelayedLinear

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(Settings(name, arm), SMOKE, [SEED])[0] for name, arm in study.arms.items()}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_spike_trains_are_those_of_the_library_s_neurons():
    x = draw(25, 3, 4, 5)
    cell = LIF(5, tau=0.03, dt=0.02, reset=Reset("hard", detach=True), surrogate=Arctan(slope=5.0)).double()
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    spikes, expected = SpikeTrain.apply(ours, float(cell.decay())), cell(theirs)[0]
    assert torch.equal(spikes, expected)
    assert 0.05 < spikes.mean() < 0.5
    weights = draw(25, 3, 4, 5, seed=1)
    (spikes * weights).sum().backward()
    (expected * weights).sum().backward()
    assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("max_delay", [0, 1, 6])
def test_delays_by_fourier_are_delays_by_convolution(max_delay):
    generator = torch.Generator().manual_seed(0)
    synapses = [DelayedLinear(4, 3, max_delay=max_delay, generator=generator) for _ in range(2)]
    x = torch.rand(11, 2, 5, 4, generator=generator, requires_grad=True)
    together = delayed(x, torch.stack([s.kernel() for s in synapses]))
    apart = torch.stack([s(x[:, r])[0] for r, s in enumerate(synapses)], 1)
    assert_close(together, apart, rtol=1e-5, atol=1e-5)
    wanted = [x, synapses[1].weight] + ([synapses[1].delay] if max_delay else [])
    probe = torch.rand(apart.shape, generator=generator)
    for ours, theirs in zip(*(torch.autograd.grad((y * probe).sum(), wanted, retain_graph=True) for y in (together, apart)), strict=True):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_normalisation_is_torch_s_net_by_net():
    ours = Normalise(2, 3).double()
    theirs = [nn.BatchNorm1d(3).double() for _ in range(2)]
    with torch.no_grad():
        ours.gain.copy_(draw(2, 1, 3, seed=3))
        ours.bias.copy_(draw(2, 1, 3, seed=4))
        for r, one in enumerate(theirs):
            one.weight.copy_(ours.gain[r, 0])
            one.bias.copy_(ours.bias[r, 0])
    x = (2 * draw(6, 2, 5, 3) + 1).requires_grad_()
    for training in (True, False):
        ours.train(training)
        y = ours(x)
        expected = torch.stack([one.train(training)(x[:, r].flatten(0, 1)).view(6, 5, 3) for r, one in enumerate(theirs)], 1)
        assert_close(y, expected)
        probe = draw(6, 2, 5, 3, seed=2)
        parameters = [(ours.gain, "weight"), (ours.bias, "bias")]
        mine = torch.autograd.grad((y * probe).sum(), [x, *(p for p, _ in parameters)])
        gold = torch.autograd.grad((expected * probe).sum(), [x, *(getattr(one, name) for _, name in parameters for one in theirs)])
        assert_close(mine[0], gold[0])
        assert_close(mine[1][:, 0], torch.stack(gold[1:3]))
        assert_close(mine[2][:, 0], torch.stack(gold[3:5]))
    assert_close(ours.mean[:, 0], torch.stack([one.running_mean for one in theirs]))
    assert_close(ours.variance[:, 0], torch.stack([one.running_var for one in theirs]))


def test_nets_are_the_library_s_spiking_net_side_by_side():
    """In training mode without dropout: outputs, and the gradients of weights and delays."""
    nets = Nets((4, 6, 5, 3), [Seed(1), Seed(2)], max_delay=3, learnable=True, decay=math.exp(-0.5), dropout=0.0)
    x = (torch.rand(14, 2, 8, 4, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    found = nets(x)
    found.square().mean(dim=(0, 2, 3)).sum().backward()
    for r in range(2):
        one = SpikingNet((4, 6, 5, 3), dt=0.02, tau=0.04, max_delay=3, generator=Seed(r + 1).torch("init"))
        y, _ = one(x[:, r])
        assert_close(found[:, r], y, rtol=1e-4, atol=1e-4)
        y.square().mean().backward()
        for ours, theirs in zip((layer[r] for layer in nets.layers), one.synapses(), strict=True):
            assert torch.equal(ours.weight, theirs.weight)
            assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-3, atol=1e-4)
            assert_close(ours.delay.grad, theirs.delay.grad, rtol=1e-3, atol=1e-4)


def test_dropout_keeps_its_mask_over_time_and_the_mean(monkeypatch):
    nets = Nets((3, 40, 40, 2), [SEED], max_delay=0, learnable=False, decay=0.5, dropout=0.4)
    inputs, convolve = [], dcls.delayed

    def spy(x, kernels):
        inputs.append(x)
        return convolve(x, kernels)

    monkeypatch.setattr(dcls, "delayed", spy)
    hidden = []
    nets(torch.rand(20, 1, 50, 3, generator=torch.Generator().manual_seed(1)), torch.Generator().manual_seed(0), hidden)
    fired = hidden[0].sum(0) > 0
    dropped = (inputs[1].sum(0) == 0) & fired
    assert 0.35 < dropped.sum() / fired.sum() < 0.45
    kept = fired & ~dropped
    assert_close(inputs[1][:, kept], hidden[0][:, kept] / 0.6)


@pytest.mark.parametrize("arm", list(study.arms))
def test_every_arm_returns_declared_metrics(outcomes, arm):
    found = numbers(outcomes[arm])
    assert set(found) == ({"accuracy"} if arm == "duration" else set(study.metrics) - {"validation_accuracy"})
    assert all(math.isfinite(value) for value in found.values())


def test_the_same_seed_gives_the_same_numbers(outcomes):
    dcls.learnt.cache_clear()
    again = study.compute(Settings("learned", study.arms["learned"]), SMOKE, [SEED])[0]
    assert numbers(again) == numbers(outcomes["learned"])


def test_delays_that_do_not_learn_are_random_delays(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["random"])
    assert numbers(outcomes["learned"]) != numbers(outcomes["random"])
    assert outcomes["random"]["delay_shift"] == outcomes["none"]["delay_shift"] == 0
    assert outcomes["learned"]["delay_shift"] > 0


def test_arms_are_matched(outcomes):
    learned, random, whole, none = (outcomes[name] for name in ("learned", "random", "random_whole", "none"))
    assert abs(none["parameters"] / learned["parameters"] - 1) <= 0.1  # of a net this small; see below for desk
    assert random["parameters"] == whole["parameters"] < learned["parameters"]
    assert random["stored"] == whole["stored"] == learned["stored"] == learned["parameters"]
    for other in (random, whole, none, outcomes["permuted"]):
        assert (other["steps"], other["samples"]) == (learned["steps"], learned["samples"])
    desk = Settings("desk", study.budgets["desk"])
    sizes = {name: shape(Settings(name, study.arms[name]), desk, 10) for name in ("learned", "none")}
    assert abs(dcls.count(sizes["none"], 1) / dcls.count(sizes["learned"], 2) - 1) <= 0.02


def test_parameters_of_the_authors_network():
    """Two layers of 256 on 140 channels and 20 classes: 0.2 M in the paper's table, delays and batch normalisation included."""
    assert dcls.count((140, 256, 256, 20), 2) == 2 * (140 * 256 + 256 * 256 + 256 * 20) + 4 * 256 == 214_016


def test_the_lesion_only_reorders_the_delays_of_each_neuron(outcomes):
    synapse = DelayedLinear(40, 3, max_delay=9, generator=torch.Generator().manual_seed(0))
    before = synapse.delay.detach().clone()
    permute_delays([synapse], torch.Generator().manual_seed(1))
    assert torch.equal(synapse.delay.sort(1).values, before.sort(1).values)
    assert ((synapse.delay != before).double().mean(1) > 0.8).all()
    assert len({tuple(row) for row in (synapse.delay.argsort(1).argsort(1) - before.argsort(1).argsort(1)).tolist()}) == 3
    assert {**study.arms["permuted"], "lesion": None} == {**study.arms["learned"], "lesion": None}
    assert outcomes["permuted"]["delays_last"].y == outcomes["learned"]["delays_last"].y
    assert outcomes["permuted"]["delay_shift"] == outcomes["learned"]["delay_shift"]


def fake_digits(channels, bins, width):
    speakers = torch.arange(6).repeat_interleave(20)
    labels = torch.arange(10).repeat(12)
    clips = torch.zeros(bins, 120, channels)
    clips[0, :, 0] = speakers + 1.0
    return clips, labels, 0.1 + 0.05 * labels.double(), speakers


def test_no_speaker_is_trained_on_and_tested(monkeypatch):
    monkeypatch.setattr(dcls, "spoken_digits", fake_digits)
    desk = Settings("desk", study.budgets["desk"])
    task = dcls.digits_task(desk, SEED)
    assert sorted(task.test.flatten().tolist()) == list(range(120))  # every clip is tested once
    for train, test in zip(task.train, task.test, strict=True):
        assert len(set(task.speakers[train].tolist())) == 4
        assert not set(task.speakers[train].tolist()) & set(task.speakers[test].tolist())
    tuning = dcls.digits_task(Settings("desk", {**desk, **study.tune.budget}), SEED)
    for train, validation, test in zip(tuning.train, tuning.validation, tuning.test, strict=True):
        parts = [set(tuning.speakers[part].tolist()) for part in (train, validation, test)]
        assert [len(part) for part in parts] == [3, 1, 2]
        assert len(set.union(*parts)) == 6
    assert dcls.digits_task(desk, Seed(1001)).test.tolist() != task.test.tolist()


def test_duration_alone_is_classified_by_a_law_a_class(monkeypatch):
    monkeypatch.setattr(dcls, "spoken_digits", fake_digits)
    task = dcls.digits_task(Settings("desk", study.budgets["desk"]), SEED)
    generator = np.random.default_rng(0)
    noisy = task._replace(lengths=task.lengths * torch.from_numpy(generator.lognormal(0, 0.001, 120)))
    assert dcls.by_duration(noisy).all()  # lengths that tell the class
    silent = task._replace(lengths=torch.from_numpy(generator.lognormal(0, 0.5, 120)))
    assert dcls.by_duration(silent).double().mean() < 0.3


def test_lags_have_equal_counts_and_no_coincidence_by_themselves():
    glance = Settings("glance", study.budgets["glance"])
    arm, budget = dcls.resolve(Settings("lag", {"task": "lags", "tau": 0.5, "rate": 0.3}), glance)
    assert (arm.tau, arm.rate) == (budget.bin, dcls.LAG_RATE)
    task = dcls.lags_task(budget, SEED)
    assert isinstance(task, Task)
    clips, labels = task.clips[:, task.train[0]], task.labels[task.train[0]]
    assert torch.equal(clips[..., 0::2].sum(0), clips[..., 1::2].sum(0))
    for label in range(4):
        a, b = clips[:, labels == label, 0], clips[:, labels == label, 1]
        match = [float((a.roll(lag, 0) * b).mean()) for lag in range(glance.bins)]
        lag = int(np.argmax(match))
        assert match[lag] == pytest.approx(float(a.mean()))  # the second channel is the first, later or earlier
        assert min(lag, glance.bins - lag) in (glance.spacing, 2 * glance.spacing)


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {arm: [outcome] for arm, outcome in outcomes.items()})
    few = Table([1000], {arm: [outcomes[arm]] for arm in ("learned", "random", "none")})
    for _, draw_figure in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw_figure(rows), Figure)
