import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from neuropil.data import LagPatterns


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def task(**changes):
    settings = {"classes": 4, "pairs": 5, "spacing": 3, "steps": 60, "dt": 0.001, "rate": 100.0, "generator": generator(1)} | changes
    return LagPatterns.balanced(**settings)


def coincidences(lags, spikes):
    """How often each pair coincides once its first train is delayed by a lag, for every class's lags: [n, K]."""
    first, second = spikes[:, :, 0::2], spikes[:, :, 1::2]
    return torch.stack([sum((first[..., p].roll(lag, 0) * second[..., p]).sum(0) for p, lag in enumerate(row)) for row in lags], 1)


def test_undoing_the_lags_decodes_every_example():
    made = task()
    spikes, labels = made.sample(1000, generator(2))
    scores = coincidences(made.lags, spikes)
    assert (scores.argmax(1) == labels).all()
    assert torch.equal(scores[torch.arange(1000), labels], spikes[:, :, 0::2].sum((0, 2)))


def test_delay_lines_without_a_ring_decode_as_well():
    made = task(rate=200.0)
    spikes, labels = made.sample(500, generator(3))
    reach = 12
    padded = torch.cat([torch.zeros(reach, *spikes.shape[1:]), spikes, torch.zeros(reach, *spikes.shape[1:])])
    assert (coincidences(made.lags, padded).argmax(1) == labels).double().mean() > 0.99


def test_both_trains_of_a_pair_have_equally_many_spikes():
    spikes, _ = task().sample(300, generator(4))
    assert torch.equal(spikes[:, :, 0::2].sum(0), spikes[:, :, 1::2].sum(0))
    assert set(spikes.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("readout", [LogisticRegression(), RandomForestClassifier(40, random_state=0)])
def test_readouts_of_spike_counts_are_at_chance(readout):
    # Two-sided level 0.001 at a fixed seed; decoding by coincidence is right on all of these.
    made = task(rate=150.0)
    spikes, labels = made.sample(5000, generator(5))
    counts = spikes.sum(0).numpy()
    readout.fit(counts[:3000], labels[:3000])
    right = int((readout.predict(counts[3000:]) == labels[3000:].numpy()).sum())
    assert binom.ppf(0.0005, 2000, 0.25) <= right <= binom.ppf(0.9995, 2000, 0.25)
    assert (coincidences(made.lags, spikes).argmax(1) == labels).all()


def test_a_channel_resolved_in_time_is_at_chance_without_its_partner():
    spikes, labels = task(rate=150.0).sample(5000, generator(5))
    alone = spikes[:, :, 1::2].transpose(0, 1).flatten(1).numpy()
    readout = LogisticRegression(C=0.01, max_iter=200).fit(alone[:3000], labels[:3000])
    right = int((readout.predict(alone[3000:]) == labels[3000:].numpy()).sum())
    assert binom.ppf(0.0005, 2000, 0.25) <= right <= binom.ppf(0.9995, 2000, 0.25)


def test_each_channel_alone_has_the_same_law_under_every_class():
    made = task(noise=20.0)
    spikes, labels = made.sample(8000, generator(6))
    rate = 0.1 + 0.02 - 0.1 * 0.02
    for k in range(4):
        mean = spikes[:, labels == k].mean(1)
        z = (mean - rate) / (rate * (1 - rate) / 2000) ** 0.5
        assert z.abs().max() < 4.8  # 600 moments and channels a class, 2,400 in all: passed by chance once in 250
    assert labels.bincount().tolist() == [2000] * 4


def test_lags_are_balanced_over_classes_in_every_pair():
    lags = torch.tensor(task(classes=8, pairs=10, spacing=2).lags)
    assert torch.equal(lags.sort(0).values, (torch.arange(8) - 3)[:, None].expand(8, 10) * 2)


def test_equal_seeds_give_equal_examples():
    made = task()
    assert made == task()
    assert made.channels == 10
    one, two, other = (made.sample(7, generator(s)) for s in (1, 1, 2))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert one[0].shape == (60, 7, 10)
    assert not torch.equal(one[0], other[0])


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"lags": ((0,),)}, ValueError, "one row a class, two at least"),
        ({"lags": ((0, 1), (2,))}, ValueError, "one lag a pair"),
        ({"lags": ((0,), (10,))}, ValueError, "between -9 and 9"),
        ({"lags": ((0,), (1.5,))}, ValueError, "whole number of steps"),
        ({"lags": ((-3,), (7,))}, ValueError, "repeats one"),
        ({"lags": np.array([[0], [1]])}, TypeError, "one row of whole numbers a class"),
        ({"lags": [0, 1]}, TypeError, "one row of whole numbers a class"),
        ({"dt": 0.0}, ValueError, "dt"),
        ({"dt": None}, TypeError, "dt is a number in seconds"),
        ({"rate": -1.0}, ValueError, "rate"),
        ({"rate": 2000.0}, ValueError, "rate times dt is a probability, 2"),
        ({"noise": 2000.0}, ValueError, "noise times dt"),
        ({"noise": float("nan")}, ValueError, "noise"),
        ({"steps": 0}, ValueError, "steps"),
    ],
)
def test_tasks_that_cannot_be_are_refused(changes, error, said):
    with pytest.raises(error, match=said) as raised:
        LagPatterns(**{"lags": ((0,), (1,)), "steps": 10, "dt": 0.001, "rate": 100.0} | changes)
    assert "\n" not in str(raised.value)


def test_a_sample_needs_a_number_and_a_generator():
    with pytest.raises(ValueError, match="n is at least 1"):
        task().sample(0, generator())
    with pytest.raises(TypeError, match=r"torch\.Generator, int"):
        task().sample(3, 5)
    with pytest.raises(TypeError, match=r"torch\.Generator, Generator"):
        LagPatterns.balanced(classes=2, pairs=1, spacing=1, steps=9, dt=0.01, rate=1.0, generator=np.random.default_rng(0))


def test_lags_may_be_lists():
    made = LagPatterns([[0, 1], [1, 0]], steps=10, dt=0.001, rate=100.0)
    assert made == LagPatterns(((0, 1), (1, 0)), steps=10, dt=0.001, rate=100.0)
    assert hash(made)
