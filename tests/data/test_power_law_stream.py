import numpy as np
import pytest
import torch
from scipy.stats import chisquare, geom

from neuropil.continual import FineTuning, Scenario, learn
from neuropil.data import PermutedStream, PowerLawStream, SplitStream
from neuropil.networks import MLP, MultiHead

Y = torch.arange(60) % 6
X = torch.nn.functional.one_hot(Y, 6) + 0.1 * torch.rand(60, 6, generator=torch.Generator().manual_seed(0))


def split(setting="domain"):
    return SplitStream(X, Y, setting=setting, classes=[(0, 1), (4, 2), (5, 3)])


def recurring(tasks=None, seed=0, **options):
    return PowerLawStream(tasks or split(), **{"revisits": 4, "examples": 5, "generator": np.random.default_rng(seed)} | options)


def lags(stream):
    """Of every revisit after all tasks have come, how long ago its task last came."""
    last, found, begin = {}, [], stream.order.index(max(stream.order))
    for t, task in enumerate(stream.order):
        if task in last:
            found.append((t, t - last[task]))
        last[task] = t
    return np.array([lag for t, lag in found if t > begin])


def test_lags_of_two_tasks_follow_the_closed_form():
    # After a switch the task left behind stays away for m - 1 visits: the products of (n - 1) / n telescope to P(m) = 2 / (m (m + 1)), m >= 2.
    tasks = PermutedStream(X, Y, tasks=2, setting="domain", generator=np.random.default_rng(0))
    found = lags(recurring(tasks, revisits=20_000, examples=1))
    away, m = found[found > 1], np.arange(2, 9)
    expected = np.append(2 / (m * (m + 1)), 2 / 9)  # the last: 9 or more
    seen = np.bincount(np.minimum(away, 9), minlength=10)[2:]
    assert expected.sum() == pytest.approx(1)
    assert len(away) > 500
    assert chisquare(seen, expected * seen.sum()).pvalue > 0.001
    steeper = 0.5 ** np.arange(1, 9)
    assert chisquare(seen, steeper / steeper.sum() * seen.sum()).pvalue < 1e-6


def test_without_an_exponent_lags_are_those_of_uniform_draws():
    found = lags(recurring(revisits=6000, examples=1, exponent=0.0))
    expected = np.append(geom.pmf(np.arange(1, 12), 1 / 3), geom.sf(11, 1 / 3))
    seen = np.bincount(np.minimum(found, 12), minlength=13)[1:]
    assert chisquare(seen, expected * seen.sum()).pvalue > 0.001


def test_a_greater_exponent_brings_the_latest_back_more_often():
    shares = [np.mean(lags(recurring(revisits=1000, examples=1, exponent=e)) == 1) for e in (0.0, 1.0, 3.0)]
    assert shares[0] < shares[1] < shares[2]


def test_tasks_come_first_in_their_order_and_only_those_that_came_come_again():
    stream = recurring()
    assert len(stream) == 15
    assert [stream.order[t] for t in (0, 5, 10)] == [0, 1, 2]
    assert set(stream.order[:5]) == {0}
    assert set(stream.order[:10]) == {0, 1}
    assert recurring(revisits=0).order == (0, 1, 2)
    assert recurring().order == stream.order
    assert len({recurring(seed=seed).order for seed in range(5)}) > 1


def test_a_visit_shows_none_twice_until_all_were_shown():
    stream, tasks = recurring(examples=8), split()
    for k, whole in enumerate(tasks):
        visits = [t for t, task in enumerate(stream.order) if task == k]
        shown = stream.shown[visits].flatten()
        for start in range(0, len(shown), len(whole)):
            part = shown[start : start + len(whole)]
            assert len(part.unique()) == len(part)
        for t in visits:
            assert stream[t].id == k
            assert torch.equal(stream[t].inputs, whole.inputs[stream.shown[t]])
            assert torch.equal(stream[t].labels, whole.labels[stream.shown[t]])


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_labels_and_held_out_examples_are_those_of_the_task_visited(setting):
    stream, tasks = recurring(split(setting)), split(setting)
    assert (stream.outputs, stream.per_task, stream.setting, stream.task_known) == (tasks.outputs, 2, tasks.setting, tasks.task_known)
    for t, task in enumerate(stream.order):
        for given, wanted in zip(stream.at(t, X[:30], Y[:30]), tasks.at(task, X[:30], Y[:30]), strict=True):
            assert torch.equal(given, wanted)


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_a_network_learns_and_what_recurs_is_kept(setting):
    accuracy = {}
    for revisits in (0, 6):
        init = torch.Generator().manual_seed(0)
        stream = recurring(split(setting), revisits=revisits, examples=20)
        net = MLP([6, 16, stream.outputs], generator=init)
        course = learn(
            MultiHead(MLP([6, 16], generator=init), 16, 3, stream.outputs, init) if setting == "task" else net,
            stream,
            FineTuning(lambda parameters: torch.optim.SGD(parameters, 0.3)),
            Scenario(setting),
            test=lambda t, stream=stream: stream.at(t, X, Y),
            epochs=5,
            batch_size=5,
            generator=torch.Generator().manual_seed(1),
            progress=False,
        )
        last = {task: float(share) for task, share in zip(stream.order, course.accuracy[-1], strict=True)}
        accuracy[revisits] = sum(last.values()) / 3
    assert accuracy[6] > (accuracy[0] if setting == "class" else 0.8)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: recurring(exponent=-1.0), ValueError, "finite exponent from 0, -1.0"),
        (lambda: recurring(exponent=float("nan")), ValueError, "finite exponent"),
        (lambda: recurring(revisits=-1), ValueError, "revisits is at least 0"),
        (lambda: recurring(examples=0), ValueError, "examples is at least 1"),
        (lambda: recurring(examples=1.5), TypeError, "examples is a whole number"),
        (lambda: recurring(generator=torch.Generator()), TypeError, "numpy generator"),
        (lambda: recurring()[15], IndexError, "tasks 0 to 14"),
        (lambda: recurring().at(15, X, Y), IndexError, "tasks 0 to 14"),
    ],
)
def test_recurring_streams_that_cannot_be_are_refused(call, error, said):
    with pytest.raises(error, match=said) as raised:
        call()
    assert "\n" not in str(raised.value)
