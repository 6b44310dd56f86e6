import numpy as np
import pytest
import torch

from neuropil.continual import FineTuning, Scenario, learn
from neuropil.data import SpeakerStream, SpokenDigits, speaker_labels
from neuropil.networks import MLP

SPOKEN = SpokenDigits(torch.rand(3, 120, 2, generator=torch.Generator().manual_seed(0)), torch.arange(120) % 10, torch.arange(120) // 20)
X, Y = SPOKEN.x.transpose(0, 1), speaker_labels(SPOKEN)


def speakers(**options):
    drawn = {} if "speakers" in options else {"generator": np.random.default_rng(0)}
    return SpeakerStream(X, Y, **{"setting": "domain"} | drawn | options)


def test_each_task_is_one_speaker_who_says_all_words():
    stream = speakers()
    assert sorted(stream.speakers) == list(range(6))
    for who, task in zip(stream.speakers, stream, strict=True):
        said = torch.nonzero(SPOKEN.speaker == who).flatten()
        assert torch.equal(task.inputs, X[said])
        assert torch.equal(task.labels, SPOKEN.digit[said])
    held_out = stream.at(2, X[:50], Y[:50])
    assert torch.equal(held_out.inputs, X[:50][SPOKEN.speaker[:50] == stream.speakers[2]])


def test_who_says_it_counts_class_incrementally():
    for k, task in enumerate(speakers(setting="class")):
        assert task.labels.unique().tolist() == list(range(10 * k, 10 * k + 10))
    assert speakers(setting="class").outputs == 60


def test_an_order_is_kept_and_a_drawn_one_follows_from_its_generator():
    assert speakers(speakers=(4, 1)).speakers == (4, 1)
    assert len({speakers(generator=np.random.default_rng(seed)).speakers for seed in range(5)}) > 1
    assert speakers().speakers == speakers().speakers


def test_other_groupings_of_other_numbers_of_words_do_as_well():
    stream = SpeakerStream(X, torch.arange(120) % 6, setting="domain", words=2, speakers=(2, 0))
    assert [len(task) for task in stream] == [40, 40]
    assert stream[0].labels.unique().tolist() == [0, 1]


def test_a_network_learns_speakers():
    course = learn(
        MLP([6, 8, 10], generator=torch.Generator().manual_seed(0)),
        SpeakerStream(X.flatten(1), Y, setting="domain", speakers=(0, 3)),
        FineTuning(lambda parameters: torch.optim.SGD(parameters, 0.1)),
        Scenario("domain"),
        batch_size=10,
        generator=torch.Generator().manual_seed(1),
        progress=False,
    )
    assert course.steps == 4
    assert course.accuracy.isfinite().all()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: SpeakerStream(X, Y, setting="domain"), ValueError, "one of the two"),
        (lambda: speakers(speakers=(0,), generator=np.random.default_rng(0)), ValueError, "one of the two"),
        (lambda: speakers(generator=3), TypeError, "numpy generator"),
        (lambda: speakers(words=0), ValueError, "words is at least 1"),
        (lambda: speakers(speakers=(6,)), ValueError, "no example of class 60"),
        (lambda: speakers(speakers=(1, 1)), ValueError, "no class twice"),
        (lambda: speakers(words=7), ValueError, "no example of class 60, 61, 62"),
    ],
)
def test_streams_of_speakers_that_cannot_be_are_refused(call, error, said):
    with pytest.raises(error, match=said) as raised:
        call()
    assert "\n" not in str(raised.value)
