"""Readers of the few file formats that data sets come in; nothing is ever unpickled or executed.

Every reader raises ``ValueError`` in one sentence when the bytes are not what the format says.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import wave
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neuropil.data.content import Array

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_npz(path: Path) -> dict[str, Array]:
    """Read every array of an ``.npz`` file."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def read_text(path: Path) -> Array:
    """Read a text file as UTF-8 bytes u8 [N]."""
    raw = path.read_bytes()
    raw.decode("utf-8")
    return np.frombuffer(raw, np.uint8).copy()


def read_idx(path: Path) -> Array:
    """Read one gzipped IDX file: two zero bytes, a type, the number of axes, their lengths as big-endian i4, then the values."""
    raw = gzip.decompress(path.read_bytes())
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in IDX_TYPES:
        raise ValueError("it does not begin like an IDX file")
    dtype, axes = np.dtype(IDX_TYPES[raw[2]]), raw[3]
    shape = tuple(int(length) for length in np.frombuffer(raw, ">i4", axes, 4))
    values = np.frombuffer(raw, dtype, -1, 4 + 4 * axes)
    if values.size != int(np.prod(shape)):
        raise ValueError(f"it announces {shape} values and holds {values.size}")
    return values.reshape(shape).astype(dtype.newbyteorder("="))


def read_cifar(path: Path) -> dict[str, Array]:
    """Read the binary version of CIFAR-10 from its archive: per image one label byte and three 32 x 32 colour planes."""
    parts: dict[str, list[Array]] = {"train": [], "test": []}
    with tarfile.open(path, "r:gz") as archive:
        for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
            member = archive.extractfile(f"cifar-10-batches-bin/{name}.bin")
            if member is None:
                raise ValueError(f"it lacks {name}.bin")
            records = np.frombuffer(member.read(), np.uint8)
            if records.size % 3073:
                raise ValueError(f"{name}.bin is not a whole number of 3073-byte records")
            parts["test" if name == "test_batch" else "train"].append(records.reshape(-1, 3073))
    arrays: dict[str, Array] = {}
    for split, blocks in parts.items():
        records = np.concatenate(blocks)
        arrays[f"{split}_images"] = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        arrays[f"{split}_labels"] = records[:, 0].copy()
    return arrays


def read_spoken_digits(path: Path) -> dict[str, Array]:
    """Read ``recordings/{digit}_{speaker}_{take}.wav`` (mono, 16 bit) from a zip archive, in the order of the file names."""
    audio: list[Array] = []
    digits, speakers, takes, rates = [], [], [], set()
    with zipfile.ZipFile(path) as archive:
        found = {Path(name).stem: name for name in archive.namelist() if "/recordings/" in f"/{name}" and name.endswith(".wav")}
        for stem in sorted(found):
            digit, speaker, take = stem.split("_")
            with wave.open(io.BytesIO(archive.read(found[stem]))) as recording:
                if recording.getnchannels() != 1 or recording.getsampwidth() != 2:
                    raise ValueError(f"{stem}.wav is not mono with 16 bits")
                rates.add(recording.getframerate())
                audio.append(np.frombuffer(recording.readframes(recording.getnframes()), "<i2").astype(np.int16))
            digits.append(int(digit))
            speakers.append(speaker)
            takes.append(int(take))
    if len(rates) != 1:
        raise ValueError(f"it holds recordings at {len(rates)} sampling rates, one is expected")
    return {
        "audio": np.concatenate(audio),
        "offsets": np.concatenate([[0], np.cumsum([len(a) for a in audio])]).astype(np.int64),
        "digit": np.array(digits, np.uint8),
        "speaker": np.array(speakers),
        "take": np.array(takes, np.uint8),
        "rate": np.array(rates.pop(), np.int32),
    }


def read_eye_state(path: Path) -> dict[str, Array]:
    """Read the EEG Eye State recording from ARFF: 14 channels in microvolts and the state of the eyes (1 is closed) a line."""
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    names = [line.split()[1] for line in lines if line.lower().startswith("@attribute")]
    rows = np.array([line.split(",") for line in lines if line and line[0] not in "@%"], np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise ValueError(f"it names {len(names)} attributes and its rows differ")
    return {
        "eeg": rows[:, :-1].astype(np.float32),
        "closed": rows[:, -1].astype(np.uint8),
        "channels": np.array(names[:-1]),
        "rate": np.array(128.0, np.float32),
    }


def read_ts(path: Path) -> tuple[list[Array], list[str], list[str]]:
    """Read a ``.ts`` file of the UCR/UEA archive: the cases f64 [T, channels], their labels, and the names of the classes in order."""
    cases: list[Array] = []
    labels: list[str] = []
    classes: list[str] = []
    in_data = False
    for line in path.read_text("utf-8").splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if in_data:
            *channels, label = line.split(":")
            cases.append(np.array([channel.split(",") for channel in channels], np.float64).T)
            labels.append(label.strip())
        elif line.lower().startswith("@classlabel"):
            classes = line.split()[2:]
        elif line.lower() == "@data":
            in_data = True
    if not cases or not set(labels) <= set(classes):
        raise ValueError("it holds no labelled cases after @data")
    return cases, labels, classes


def read_series(paths: Sequence[Path]) -> dict[str, Array]:
    """Read a training and a test ``.ts`` file: series one after another f32 [sum T, channels], offsets i64 [N + 1], labels, class names."""
    arrays: dict[str, Array] = {}
    for split, path in zip(("train", "test"), paths, strict=True):
        cases, labels, classes = read_ts(path)
        arrays[f"{split}_series"] = np.concatenate(cases).astype(np.float32)
        arrays[f"{split}_offsets"] = np.concatenate([[0], np.cumsum([len(case) for case in cases])]).astype(np.int64)
        arrays[f"{split}_labels"] = np.array([classes.index(label) for label in labels], np.uint8)
        arrays["classes"] = np.array(classes)
    return arrays
