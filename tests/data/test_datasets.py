"""The real data sets against facts published about them; those that are not on this machine are skipped."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest

from neuropil import data


def here(name: str) -> data.Data:
    entry_files = ("cifar10_jpeg", "mnist", "fsdd", "tinyshakespeare", "celegans_connectome", "eeg_eye_state")
    if name in entry_files and not os.environ.get("NEUROPIL_DATA"):
        pytest.skip(f"$NEUROPIL_DATA is not set, so {name} is not looked at")
    where = data.status(name).where
    if where == "not here" or (name in entry_files and where != "$NEUROPIL_DATA"):
        pytest.skip(f"{name} is not on this machine: {data.status(name).obtain}")
    return data.load(name)


def test_digits_have_the_counts_of_the_uci_page() -> None:
    digits = here("digits")
    assert digits.images.shape == (1797, 8, 8)
    assert digits.images.max() == 16
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


@pytest.mark.parametrize(
    ("name", "md5"),
    [
        ("train_images", "6bbc9ace898e44ae57da46a324031adb"),
        ("train_labels", "a25bea736e30d166cdddb491f175f624"),
        ("test_images", "2646ac647ad5339dbf082846283269ea"),
        ("test_labels", "27ae3e4e09519cfbb04c329615203637"),
    ],
)
def test_mnist_is_the_canonical_idx_file_to_the_byte(name: str, md5: str) -> None:
    array = here("mnist")[name]
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    assert hashlib.md5(header + array.tobytes()).hexdigest() == md5


def test_shakespeare_has_65_characters() -> None:
    text = here("tinyshakespeare").text
    assert len(np.unique(text)) == 65
    assert bytes(text).startswith(b"First Citizen:\nBefore we proceed any further, hear me speak.")


def test_spoken_digits_have_50_takes_a_speaker_and_digit() -> None:
    fsdd = here("fsdd")
    assert sorted(set(fsdd.speaker.tolist())) == ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]
    keys = np.stack([np.unique(fsdd.speaker, return_inverse=True)[1], fsdd.digit, fsdd.take])
    assert len(np.unique(keys, axis=1).T) == 6 * 10 * 50 == 3000
    assert fsdd.offsets[-1] == len(fsdd.audio)


def test_eyes_are_closed_in_the_published_share() -> None:
    assert np.bincount(here("eeg_eye_state").closed).tolist() == [8257, 6723]


def test_connectome_has_the_connections_of_varshney2011() -> None:
    worm = here("celegans_connectome")
    assert len(worm.neuron) == 279
    assert (worm.chemical > 0).sum() == 2194
    np.testing.assert_array_equal(worm.electrical, worm.electrical.T)
    assert (np.triu(worm.electrical, 1) > 0).sum() == 514
    assert np.triu(worm.electrical).sum() == 890


def test_japanese_vowels_have_the_counts_of_the_uci_page() -> None:
    vowels = here("japanese_vowels")
    assert np.bincount(vowels.train_labels).tolist() == [30] * 9
    assert np.bincount(vowels.test_labels).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    lengths = np.concatenate([np.diff(vowels.train_offsets), np.diff(vowels.test_offsets)])
    assert (lengths.min(), lengths.max()) == (7, 29)


def test_basic_motions_are_ten_a_class() -> None:
    motions = here("basic_motions")
    assert motions.classes.tolist() == ["Standing", "Running", "Walking", "Badminton"]
    assert np.bincount(motions.train_labels).tolist() == np.bincount(motions.test_labels).tolist() == [10] * 4
    assert motions.train_series.shape == (40 * 100, 6)


def test_photographs_are_those_of_scikit_image() -> None:
    photographs = here("photographs")
    peer = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    for name in ("astronaut", "camera", "coffee", "moon"):
        np.testing.assert_array_equal(photographs[name], getattr(peer, name)())


@pytest.mark.slow
def test_lossy_cifar_has_its_classes_interleaved() -> None:
    cifar = here("cifar10_jpeg")
    assert cifar.train_images.shape == (50000, 32, 32, 3)
    assert np.bincount(cifar.train_labels).tolist() == [5000] * 10
    assert np.bincount(cifar.test_labels).tolist() == [1000] * 10
    # the published channel means of CIFAR-10, 125.3, 123.0, 113.9; a lossy encoding hardly moves a mean
    np.testing.assert_allclose(cifar.train_images.mean((0, 1, 2)), [125.3, 123.0, 113.9], atol=0.2)
