"""The data sets that ``load`` knows: their digests, files, licences and canonical addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neuropil.data.content import Array
from neuropil.data.decode import decode_jpegs, read_pictures
from neuropil.data.formats import read_cifar, read_eye_state, read_idx, read_npz, read_series, read_spoken_digits, read_text

Arrays = dict[str, Array]


@dataclass(frozen=True)
class Form:
    """One way in which a data set lies on disk: files side by side, and the reader of them."""

    files: tuple[str, ...]
    read: Callable[[Sequence[Path]], Arrays]


@dataclass(frozen=True)
class Download:
    """A file at its canonical address with its published checksum, ``md5:...`` or ``sha256:...``."""

    file: str
    url: str
    checksum: str | None


@dataclass(frozen=True)
class Entry:
    """All that is known of a data set without having it.

    ``digest`` is the ``content_digest`` of its arrays as read; with ``archive=True`` it is the SHA-256 of the one canonical file instead
    (its arrays follow from it). ``package`` is (import name, distribution, extra of neuropil, form inside the package). ``unpack`` turns
    verified arrays into those that ``load`` returns. ``downloads`` together make the last of ``forms``. ``instead`` names a data set to ask for knowingly.
    """

    name: str
    about: str
    digest: str
    licence: str
    cites: str
    megabytes: float
    obtain: str
    package: tuple[str, str, str, Form] | None = None
    forms: tuple[Form, ...] = ()
    downloads: tuple[Download, ...] = ()
    unpack: Callable[[Mapping[str, Array]], Arrays] = field(default=dict)
    archive: bool = False
    instead: str = ""


def _digits(paths: Sequence[Path]) -> Arrays:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return {"images": bunch.images.astype(np.uint8), "labels": bunch.target.astype(np.uint8)}


def _npz(name: str) -> Form:
    return Form((f"{name}.npz",), lambda paths: read_npz(paths[0]))


def _archive_series(problem: str) -> tuple[str, str, str, Form]:
    files = tuple(f"datasets/data/{problem}/{problem}_{split}.ts" for split in ("TRAIN", "TEST"))
    return ("aeon", "aeon", "timeseries", Form(files, read_series))


_MNIST = {
    "train_images": ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    "train_labels": ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
    "test_images": ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
    "test_labels": ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
}
_PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "clock_motion",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "moon",
    "motorcycle_left",
    "motorcycle_right",
)

ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            name="digits",
            about="1,797 handwritten digits, 8 x 8, values 0 to 16: images u8 [N, 8, 8], labels u8 [N]",
            digest="d68442b2dfc627725bbbe8acfe017802fb44d61dec208d53d7afdc6cb8b82af0",
            licence="CC BY 4.0",
            cites="alpaydin1998",
            megabytes=0.06,
            obtain='install scikit-learn: pip install "neuropil[atlas]"',
            package=("sklearn", "scikit-learn", "atlas", Form(("datasets/data/digits.csv.gz",), _digits)),
        ),
        Entry(
            name="mnist",
            about="70,000 handwritten digits, 28 x 28: train_images u8 [60000, 28, 28], train_labels u8, test_images, test_labels",
            digest="99508a811968c56a8ad626dc7e76a186d62b740a33b2bd232bcec1fef353c0f3",
            licence="CC BY-SA 3.0",
            cites="lecun1998",
            megabytes=11.6,
            obtain="let load() download it",
            forms=(
                _npz("mnist"),
                Form(
                    tuple(file for file, _ in _MNIST.values()),
                    lambda paths: {name: read_idx(path) for name, path in zip(_MNIST, paths, strict=True)},
                ),
            ),
            downloads=tuple(
                Download(file, f"https://ossci-datasets.s3.amazonaws.com/mnist/{file}", f"md5:{md5}") for file, md5 in _MNIST.values()
            ),
        ),
        Entry(
            name="cifar10",
            about="60,000 photographs in 10 classes, 32 x 32, as published: train_images u8 [50000, 32, 32, 3], train_labels u8, test_*",
            digest="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            licence="none stated; cite the report",
            cites="krizhevsky2009",
            megabytes=170.1,
            obtain="let load() download it",
            instead="load('cifar10_jpeg'), the same photographs after a lossy JPEG, is a different data set and has to be asked for by its name",
            forms=(Form(("cifar-10-binary.tar.gz",), lambda paths: read_cifar(paths[0])),),
            downloads=(
                Download(
                    "cifar-10-binary.tar.gz",
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                ),
            ),
            archive=True,
        ),
        Entry(
            name="cifar10_jpeg",
            about="CIFAR-10 with every photograph JPEG-encoded (slightly lossy) and classes interleaved: arrays as cifar10, digest of the JPEG bytes",
            digest="24f0d293b7a2e98ed7e489441ae1c99fdb74624a6ceeeadbe8114e5eed57060f",
            licence="none stated; cite the report",
            cites="krizhevsky2009",
            megabytes=55.8,
            obtain="put cifar10_jpeg.npz into the folder $NEUROPIL_DATA, or use load('cifar10'), the data set as published",
            forms=(_npz("cifar10_jpeg"),),
            unpack=decode_jpegs,
        ),
        Entry(
            name="fsdd",
            about="3,000 spoken digits, 6 speakers, 8 kHz: audio i16, offsets i64 [3001], digit u8, speaker, take u8, rate; takes 0-4 are the usual test set",
            digest="22dab0a03c59c34689597dd9d85c9d9292e9ccdec02e2986a9b8c43358802cab",
            licence="CC BY-SA 4.0",
            cites="jackson2018",
            megabytes=16.0,
            obtain="let load() download it",
            forms=(_npz("fsdd"), Form(("fsdd-1.0.10.zip",), lambda paths: read_spoken_digits(paths[0]))),
            downloads=(
                Download(
                    "fsdd-1.0.10.zip",
                    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip",
                    None,
                ),
            ),
        ),
        Entry(
            name="tinyshakespeare",
            about="1.1 MB of Shakespeare: text u8 [1115394], UTF-8 bytes, 65 different characters",
            digest="cce51e3437578e6289d6fa5e684955e04c9a2903f658470ce057dc2abb086539",
            licence="public domain",
            cites="karpathy2015",
            megabytes=1.1,
            obtain="let load() download it",
            forms=(Form(("tinyshakespeare.txt",), lambda paths: {"text": read_text(paths[0])}),),
            downloads=(
                Download(
                    "tinyshakespeare.txt",
                    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                    "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                ),
            ),
        ),
        Entry(
            name="photographs",
            about=f"{len(_PHOTOGRAPHS)} losslessly stored photographs, u8 [H, W] or [H, W, 3], one array each: {', '.join(_PHOTOGRAPHS)}",
            digest="e83a9805dc4fc20acba2ce34ed978dc151b1038f87341003f03bf6116e248f7b",
            licence="public domain, CC0 and others, see scikit-image's data folder",
            cites="vanderwalt2014",
            megabytes=3.5,
            obtain='install scikit-image: pip install "neuropil[photographs]"',
            package=(
                "skimage",
                "scikit-image",
                "photographs",
                Form(tuple(f"data/{name}.png" for name in _PHOTOGRAPHS), read_pictures),
            ),
        ),
        Entry(
            name="japanese_vowels",
            about="9 speakers say /ae/, 270 + 370 utterances of 7 to 29 frames: train_series f32 [sum T, 12], train_offsets, train_labels, test_*, classes",
            digest="602029b63013261f7c28ebfb83a9c6a5c9d11c7a73f3bdef70a86b76b294aef8",
            licence="CC BY 4.0",
            cites="kudo1999",
            megabytes=1.1,
            obtain='install aeon: pip install "neuropil[timeseries]"',
            package=_archive_series("JapaneseVowels"),
        ),
        Entry(
            name="basic_motions",
            about="4 motions with a smart watch, 40 + 40 recordings of 10 s at 10 Hz: train_series f32 [4000, 6], train_offsets, train_labels, test_*, classes",
            digest="7d24d3008269ac957b007d2bb9366ff156d3597bd57689934ab927a6c8c80774",
            licence="UEA archive, free for research",
            cites="bagnall2018",
            megabytes=0.5,
            obtain='install aeon: pip install "neuropil[timeseries]"',
            package=_archive_series("BasicMotions"),
        ),
        Entry(
            name="celegans_connectome",
            about="279 neurons of the hermaphrodite C. elegans: chemical i16 [279, 279] (row presynaptic), electrical (symmetric), neuron (names), cell_class, soma_position f32",
            digest="f0a052f24dec42c1d57262ae2e41f78ae94582499c967718d9f4af2c6a2364e0",
            licence="published data, wormatlas.org",
            cites="varshney2011",
            megabytes=0.01,
            obtain="put celegans_connectome.npz into the folder $NEUROPIL_DATA; the counts are published at wormatlas.org (neuronal wiring, version of 2011)",
            forms=(_npz("celegans_connectome"),),
            unpack=lambda arrays: {"neuron" if item == "name" else item: array for item, array in arrays.items()},
        ),
        Entry(
            name="eeg_eye_state",
            about="one person's EEG, 117 s, eyes open or closed: eeg f32 [14980, 14] in microvolts, closed u8, channels, rate; split it in time",
            digest="e8317274a85625487812e2a6474ae28ad09cc9659c6675e1f70c399514eb9a54",
            licence="CC BY 4.0",
            cites="roesler2013",
            megabytes=1.7,
            obtain="let load() download it",
            forms=(_npz("eeg_eye_state"), Form(("eeg-eye-state.arff",), lambda paths: read_eye_state(paths[0]))),
            downloads=(
                Download(
                    "eeg-eye-state.arff",
                    "https://archive.ics.uci.edu/ml/machine-learning-databases/00264/EEG%20Eye%20State.arff",
                    None,
                ),
            ),
        ),
    )
}
