from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from neuropil.learning import CheckpointError, load_checkpoint, restore, save_checkpoint


class Trace(NamedTuple):
    v: Tensor
    count: int


def everything() -> dict[str, Any]:
    return {
        "tensors": [torch.arange(6).reshape(2, 3).T, torch.tensor(1.5, dtype=torch.float64), torch.zeros(0), torch.tensor([True, False])],
        "half": torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
        "numbers": (1, -0.1, float("inf"), None, True, "µ"),
        0: {"step": 3},
        "trace": Trace(torch.ones(2), 4),
    }


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.safetensors"
    save_checkpoint(path, everything())
    back = load_checkpoint(path)
    for ours, theirs in zip(back["tensors"], everything()["tensors"], strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)
    assert back["half"].dtype == torch.bfloat16
    assert back["numbers"] == (1, -0.1, float("inf"), None, True, "µ")
    assert back[0] == {"step": 3}
    whole = restore(everything(), back)
    assert isinstance(whole["trace"], Trace)
    assert whole["trace"].count == 4
    assert [item.name for item in path.parent.iterdir()] == ["state.safetensors"]


def test_the_file_opens_in_plain_safetensors(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "m", {"model": nn.Linear(2, 1)})
    assert sorted(load_file(tmp_path / "m")) == ["/model/bias", "/model/weight"]


def test_generators_go_on_where_they_were(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    torch.rand(5, generator=generator)
    save_checkpoint(tmp_path / "g", {"generator": generator})
    expected = torch.rand(4, generator=generator)
    fresh = restore({"generator": torch.Generator()}, load_checkpoint(tmp_path / "g"))["generator"]
    assert torch.equal(torch.rand(4, generator=fresh), expected)


def test_shared_and_tied_tensors_are_no_obstacle(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    save_checkpoint(tmp_path / "s", [shared, shared[1:], shared])
    assert [tensor.tolist() for tensor in load_checkpoint(tmp_path / "s")] == [[0, 1, 2, 3], [1, 2, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "c"
    save_checkpoint(path, {"x": torch.randn(100)})
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(CheckpointError, match=r"damaged or no checkpoint.*delete it") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


def test_one_turned_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "c"
    save_checkpoint(path, {"x": torch.randn(100)})
    raw = bytearray(path.read_bytes())
    raw[-7] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="does not match its checksum"):
        load_checkpoint(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.ones(1)}, tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="is a safetensors file and not a neuropil checkpoint"):
        load_checkpoint(tmp_path / "foreign")
    torch.save({"x": 1}, tmp_path / "pickled")
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        load_checkpoint(tmp_path / "pickled")
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        load_checkpoint(tmp_path / "nothing")


def test_a_crash_while_writing_keeps_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"
    save_checkpoint(path, {"x": 1})

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"could not be written \(No space left on device\)"):
        save_checkpoint(path, {"x": 2})
    assert load_checkpoint(path) == {"x": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["c"]


def test_what_a_state_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a set was given at /a/0"):
        save_checkpoint(tmp_path / "c", {"a": [{1, 2}]})
    with pytest.raises(TypeError, match="keys are text or whole numbers"):
        save_checkpoint(tmp_path / "c", {1.5: 1})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "loaded"),
    [
        (torch.zeros(2), torch.zeros(3)),
        ({"a": 1}, {"b": 1}),
        ([1], [1, 2]),
        (torch.zeros(2), 1.0),
        (nn.Linear(2, 1), {"weight": torch.zeros(1, 3), "bias": torch.zeros(1)}),
        (nn.Linear(2, 1), {}),
        (nn.Linear(2, 1), 3),
    ],
)
def test_another_shape_is_refused(target: Any, loaded: Any) -> None:
    with pytest.raises(CheckpointError, match="give another path") as error:
        restore(target, loaded)
    assert "\n" not in str(error.value)
