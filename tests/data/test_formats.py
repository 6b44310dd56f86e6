"""Readers against files written by hand or by other libraries."""

from __future__ import annotations

import gzip
import io
import tarfile
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

from neuropil.data.decode import decode_jpegs
from neuropil.data.formats import read_cifar, read_eye_state, read_idx, read_series, read_spoken_digits, read_text, read_ts


def test_idx_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])))
    np.testing.assert_array_equal(read_idx(path), [[1, 2, 3], [4, 5, 6]])
    path.write_bytes(gzip.compress(bytes([0, 0, 0x0B, 1, 0, 0, 0, 2, 1, 2, 255, 255])))
    np.testing.assert_array_equal(read_idx(path), [258, -1])


@pytest.mark.parametrize("raw", [b"", b"\x00\x00\x08\x01\x00\x00\x00\x05ab", b"PNG!"])
def test_idx_that_is_none(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(raw))
    with pytest.raises(ValueError, match=r"IDX|announces"):
        read_idx(path)


def test_cifar_planes_become_pixels(tmp_path: Path) -> None:
    path = tmp_path / "cifar.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for k, name in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]):
            planes = np.stack([np.full((32, 32), colour + k) for colour in (10, 20, 30)]).astype(np.uint8)
            planes[0, 3, 4] = 99
            raw = bytes([k]) + planes.tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    arrays = read_cifar(path)
    assert arrays["train_images"].shape == (5, 32, 32, 3)
    assert arrays["train_labels"].tolist() == [0, 1, 2, 3, 4]
    assert arrays["test_labels"].tolist() == [5]
    assert arrays["train_images"][2, 0, 0].tolist() == [12, 22, 32]
    assert arrays["train_images"][2, 3, 4].tolist() == [99, 22, 32]


def test_spoken_digits_from_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "fsdd.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fsdd-1/README.md", "")
        for stem, samples in {"1_theo_0": [5], "0_theo_2": [1, -2], "0_theo_10": [7, 8, 9]}.items():
            buffer = io.BytesIO()
            with wave.open(buffer, "wb") as recording:
                recording.setnchannels(1)
                recording.setsampwidth(2)
                recording.setframerate(8000)
                recording.writeframes(np.array(samples, "<i2").tobytes())
            archive.writestr(f"fsdd-1/recordings/{stem}.wav", buffer.getvalue())
    arrays = read_spoken_digits(path)
    assert arrays["audio"].tolist() == [7, 8, 9, 1, -2, 5]
    assert arrays["offsets"].tolist() == [0, 3, 5, 6]
    assert arrays["digit"].tolist() == [0, 0, 1]
    assert arrays["take"].tolist() == [10, 2, 0]
    assert arrays["rate"] == 8000


def test_eye_state_as_scipy_reads_it(tmp_path: Path) -> None:
    arff = pytest.importorskip("scipy.io.arff", reason="scipy is not installed")
    path = tmp_path / "eye.arff"
    path.write_text(
        "@RELATION eye\n\n@ATTRIBUTE AF3 NUMERIC\n@ATTRIBUTE O1 NUMERIC\n@ATTRIBUTE eyeDetection {0,1}\n\n@DATA\n4329.23,4009.5,0\n4324.62,-1.25,1\n"
    )
    arrays = read_eye_state(path)
    rows, meta = arff.loadarff(path)
    assert arrays["channels"].tolist() == meta.names()[:-1]
    np.testing.assert_array_equal(arrays["eeg"], np.stack([rows["AF3"], rows["O1"]], 1).astype(np.float32))
    assert arrays["closed"].tolist() == [0, 1]


def test_ts_by_hand(tmp_path: Path) -> None:
    train, test = tmp_path / "a.ts", tmp_path / "b.ts"
    train.write_text("# words\n@problemName a\n@classLabel true Run Walk\n@data\n1,2,3:4,5,6:Walk\n7:8:Run\n")
    test.write_text("@classLabel true Run Walk\n@data\n0.5,1:2,3:Run\n")
    cases, labels, classes = read_ts(train)
    assert [case.tolist() for case in cases] == [[[1, 4], [2, 5], [3, 6]], [[7, 8]]]
    assert (labels, classes) == (["Walk", "Run"], ["Run", "Walk"])
    arrays = read_series([train, test])
    assert arrays["train_offsets"].tolist() == [0, 3, 4]
    assert arrays["train_labels"].tolist() == [1, 0]
    assert arrays["test_series"].tolist() == [[0.5, 2], [1, 3]]
    test.write_text("@classLabel true Run Walk\n@data\n1:2:Swim\n")
    with pytest.raises(ValueError, match="no labelled cases"):
        read_ts(test)


def test_text_is_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("né".encode())
    assert bytes(read_text(path)).decode() == "né"
    path.write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_text(path)


def test_jpegs_are_decoded_in_order() -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    colours = [(200, 10, 10), (10, 200, 10), (10, 10, 200)]
    streams = []
    for colour in colours:
        buffer = io.BytesIO()
        image.new("RGB", (32, 32), colour).save(buffer, "JPEG", quality=95)
        streams.append(buffer.getvalue())
    arrays = decode_jpegs(
        {
            "train_jpeg": np.frombuffer(b"".join(streams), np.uint8),
            "train_offsets": np.cumsum([0, *map(len, streams)]),
            "train_labels": np.array([2, 0, 1]),
        }
    )
    assert sorted(arrays) == ["train_images", "train_labels"]
    assert arrays["train_images"].shape == (3, 32, 32, 3)
    assert np.abs(arrays["train_images"][:, 16, 16].astype(int) - colours).max() <= 3
