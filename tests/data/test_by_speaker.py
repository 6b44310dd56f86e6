import numpy as np
import pytest
import torch

from neuropil.data import SpokenDigits, speaker_folds


def digits():
    clips = torch.arange(120)
    return SpokenDigits(torch.zeros(3, 120, 2), clips % 10, clips // 20)


def speakers(clips):
    return set(digits().speaker[clips].tolist())


@pytest.mark.parametrize("validate", [False, True])
def test_who_is_unheard_is_unheard_and_clips_are_kept_apart(validate):
    folds = speaker_folds(digits(), np.random.default_rng(0), validate=validate)
    for fold in folds:
        assert len(speakers(fold.unheard)) == 1
        assert not speakers(fold.unheard) & speakers(torch.cat([fold.train, fold.known]))
        assert not set(fold.train.tolist()) & set(fold.known.tolist())
        assert len(fold.known) == 20
        assert len(fold.train) == (60 if validate else 80)
    assert set.union(*(speakers(fold.unheard) for fold in folds)) == set(range(6))


def test_who_is_tested_is_not_heard_while_settings_are_chosen():
    for seed in range(5):
        (tested,) = speaker_folds(digits(), np.random.default_rng(seed), folds=1)
        (validating,) = speaker_folds(digits(), np.random.default_rng(seed), folds=1, validate=True)
        assert not speakers(tested.unheard) & speakers(torch.cat(validating))


@pytest.mark.parametrize("folds", [0, 7])
def test_there_are_as_many_folds_as_speakers_at_most(folds):
    with pytest.raises(ValueError, match="one a speaker at most"):
        speaker_folds(digits(), np.random.default_rng(0), folds=folds)
