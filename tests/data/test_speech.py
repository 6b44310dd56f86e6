import numpy as np
import pytest
import torch

from neuropil.data import SpokenDigits, digit_sums, pair_up, speech, spoken_digits
from neuropil.data.speech import SUMS


@pytest.fixture
def fsdd(monkeypatch):
    """Three tones of two speakers in place of the data set."""

    class Data:
        rate = 8000
        offsets = np.array([0, 1600, 4000, 8000])
        audio = np.concatenate(
            [a * np.sin(2 * np.pi * f * np.arange(n) / 8000) for a, f, n in ((100, 500, 1600), (9000, 500, 2400), (9000, 2500, 4000))]
        )
        digit = np.array([3, 3, 7], np.uint8)
        speaker = np.array(["nicolas", "george", "nicolas"])

    Data.audio = Data.audio.astype(np.int16)
    monkeypatch.setattr(speech, "load", lambda name: Data)
    spoken_digits.cache_clear()
    yield Data
    spoken_digits.cache_clear()


def test_clips_are_as_loud_as_each_other_and_followed_by_silence(fsdd):
    digits = spoken_digits(channels=12, bins=16, bin=0.025)
    assert digits.x.shape == (16, 3, 12)
    assert digits.digit.tolist() == [3, 3, 7]
    assert digits.speaker.tolist() == [1, 0, 1]  # in the order of their names
    assert digits.of(1).tolist() == [0, 2]
    assert digits.of(0, 1).tolist() == [0, 1, 2]
    torch.testing.assert_close(digits.x[:8, 0], digits.x[:8, 1], atol=1.01, rtol=0)  # the quiet one is made as loud
    assert digits.x[:8, 0].sum() > 15
    assert digits.x[10:, 0].sum() <= 2  # 0.2 s of sound, then silence
    assert digits.x[:, 2].sum(0).argmax() > digits.x[:, 1].sum(0).argmax()  # the higher tone, the higher channel


def test_more_fibres_say_more_and_every_so_many_are_those(fsdd):
    one, five = (spoken_digits(channels=12, bins=16, bin=0.025, max_rate=rate).x.sum() for rate in (200.0, 1000.0))
    assert 4 < five / one < 6
    thinned = spoken_digits(channels=12, bins=16, bin=0.025, every=2)
    assert torch.equal(thinned.x, spoken_digits(channels=12, bins=16, bin=0.025).x[:, ::2])
    assert thinned.digit.tolist() == [3, 7]


def test_sums_are_of_the_clips_one_after_the_other():
    x = torch.arange(2 * 4 * 1.0).view(2, 4, 1)
    digits = SpokenDigits(x, torch.tensor([1, 9, 9, 4]), torch.zeros(4, dtype=torch.long))
    pairs = torch.tensor([[[0, 3], [1, 2]]])
    sums = digit_sums(digits, pairs)
    assert sums.y.tolist() == [[5, 18]]
    assert sums.x[:, 0, 0, 0].tolist() == [0, 4, 3, 7]
    assert max(sums.y.flatten().tolist()) == SUMS - 1


def test_pairs_use_every_clip_as_often_and_need_some():
    pairs = pair_up(torch.arange(5), 10, torch.Generator().manual_seed(0))
    assert [pairs[:, k].bincount().tolist() for k in (0, 1)] == [[2] * 5] * 2
    assert len(pair_up(torch.arange(50), 20, torch.Generator().manual_seed(0))[:, 0].unique()) == 20
    with pytest.raises(ValueError, match="no clips to pair"):
        pair_up(torch.arange(0), 3, torch.Generator())
