import numpy as np
import pytest
import torch

from neuropil.continual import ExperienceReplay, Scenario, learn
from neuropil.data import FewShotSessions
from neuropil.networks import MLP, MultiHead

Y = torch.arange(240) % 8
X = torch.nn.functional.one_hot(Y, 8) + 0.1 * torch.randn(240, 8, generator=torch.Generator().manual_seed(0))


def sessions(seed=0, **options):
    return FewShotSessions(X, Y, **{"base": 4, "ways": 2, "shots": 5, "generator": np.random.default_rng(seed)} | options)


def test_a_base_session_has_all_examples_and_later_ones_a_few_of_new_classes():
    stream = sessions()
    assert [len(classes) for classes in stream.classes] == [4, 2, 2]
    assert sorted(c for classes in stream.classes for c in classes) == list(range(8))
    assert [len(task) for task in stream] == [120, 10, 10]
    assert [task.labels.bincount(minlength=8).tolist() for task in stream] == [
        [30, 30, 30, 30, 0, 0, 0, 0],
        [0, 0, 0, 0, 5, 5, 0, 0],
        [0, 0, 0, 0, 0, 0, 5, 5],
    ]
    assert stream.outputs == 8
    for task, classes in zip(stream, stream.classes, strict=True):
        first = int(task.labels.min())
        for x, label in zip(*task, strict=True):
            (original,) = Y[(x == X).all(1)].tolist()
            assert classes[int(label) - first] == original
        assert len(task.inputs.unique(dim=0)) == len(task)


def test_sessions_are_tested_on_all_that_is_given():
    stream = sessions()
    assert [len(stream.at(k, X[::2], Y[::2])) for k in range(3)] == [int(torch.isin(Y[::2], torch.tensor(c)).sum()) for c in stream.classes]


def test_an_order_is_kept_and_draws_follow_from_the_generator():
    order = [7, 6, 5, 4, 3, 2, 1, 0]
    fixed = [sessions(seed, order=order) for seed in (0, 0, 1)]
    assert fixed[0].classes == ((7, 6, 5, 4), (3, 2), (1, 0))
    assert torch.equal(fixed[0][1].inputs, fixed[1][1].inputs)
    assert not torch.equal(fixed[0][1].inputs, fixed[2][1].inputs)
    assert len({sessions(seed).classes for seed in range(5)}) > 1


@pytest.mark.parametrize("setting", ["class", "task", "domain"])
def test_a_network_learns_sessions_and_replay_keeps_the_base(setting):
    stream, init = sessions(setting=setting), torch.Generator().manual_seed(0)
    net = MLP([8, 16, stream.outputs], generator=init)
    course = learn(
        MultiHead(MLP([8, 16], generator=init), 16, 3, stream.outputs, init) if setting == "task" else net,
        stream,
        ExperienceReplay(
            lambda parameters: torch.optim.SGD(parameters, 0.3), capacity=40, draw=20, generator=torch.Generator().manual_seed(1)
        ),
        Scenario(setting),
        test=lambda k: stream.at(k, X, Y),
        epochs=10,
        batch_size=10,
        generator=torch.Generator().manual_seed(2),
        progress=False,
    )
    assert course.examples == 10 * 140
    if setting != "domain":
        assert course.accuracy[0, 0] > 0.95
        assert course.accuracy[-1].min() > 0.5


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: sessions(ways=3), ValueError, "Sessions of 3 classes after 4 base classes need 4 \\+ n x 3 of them, there are 8"),
        (lambda: sessions(base=8), ValueError, "after 8 base classes"),
        (lambda: sessions(base=0), ValueError, "base is at least 1"),
        (lambda: sessions(ways=0), ValueError, "ways is at least 1"),
        (lambda: sessions(shots=31), ValueError, "30 examples or more, 31 shots"),
        (lambda: sessions(shots=2.5), TypeError, "shots is a whole number"),
        (lambda: sessions(order=[0, 0, 1, 2, 3, 4, 5, 6]), ValueError, "classes 0 to 7 once"),
        (lambda: sessions(generator=None), TypeError, "numpy generator"),
        (lambda: sessions()[3], IndexError, "tasks 0 to 2"),
        (lambda: sessions(setting="few"), ValueError, "task, domain, class"),
    ],
)
def test_sessions_that_cannot_be_are_refused(call, error, said):
    with pytest.raises(error, match=said) as raised:
        call()
    assert "\n" not in str(raised.value)
