from __future__ import annotations

import copy
import hashlib
import pickle

import numpy as np
import pytest

from neuropil.data import Data, content_digest


def test_digest_is_the_documented_one() -> None:
    by_hand = hashlib.sha256(b"a <i2 [2]\n" + b"\x01\x00\x02\x01" + b"b |u1 []\n" + b"\x07").hexdigest()
    assert content_digest({"b": np.array(7, np.uint8), "a": np.array([1, 258], np.int16)}) == by_hand


def test_digest_knows_neither_byte_order_nor_memory_layout() -> None:
    matrix = np.arange(6, dtype="<i4").reshape(2, 3)
    assert content_digest({"m": matrix}) == content_digest({"m": np.asfortranarray(matrix.astype(">i4"))})
    text = np.array(["ab", "c"])
    assert content_digest({"t": text}) == content_digest({"t": text.astype(text.dtype.newbyteorder(">"))})


@pytest.mark.parametrize(
    "other",
    [
        {"n": np.arange(6, dtype=np.int16)},
        {"m": np.arange(6, dtype=np.int32)},
        {"m": np.arange(6, dtype=np.int16).reshape(2, 3)},
        {"m": np.array([0, 1, 2, 3, 4, 6], np.int16)},
        {},
    ],
)
def test_digest_knows_name_type_shape_and_values(other: dict[str, np.ndarray]) -> None:
    assert content_digest({"m": np.arange(6, dtype=np.int16)}) != content_digest(other)


def test_digest_refuses_objects() -> None:
    with pytest.raises(TypeError, match="holds Python objects"):
        content_digest({"a": np.array([None])})


def test_an_array_cannot_hide_a_field() -> None:
    with pytest.raises(ValueError, match="cannot be called name"):
        Data("one", {"name": np.arange(3)}, "0", "here", "CC0", "")


def test_arrays_are_attributes_and_survive_copies() -> None:
    one = Data("one", {"x": np.arange(3)}, "0", "here", "CC0", "")
    assert repr(one) == "Data(one: x int64 [3]; from here)"
    for same in (one, copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        np.testing.assert_array_equal(same.x, [0, 1, 2])
        np.testing.assert_array_equal(same["x"], [0, 1, 2])
    with pytest.raises(AttributeError, match="no array 'y'; it has x"):
        _ = one.y
