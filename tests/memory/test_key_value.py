"""Fast weights as a memory of pairs: exact for keys that are independent, against least squares and by hand."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.data import sparse_patterns
from neuropil.memory import Erasable, KeyValueMemory, Memory


def test_many_rounds_of_the_delta_rule_come_to_least_squares():
    generator = torch.Generator().manual_seed(0)
    keys, contents = sparse_patterns(12, 30, 4, generator).double(), sparse_patterns(12, 20, 3, generator).double()
    memory = KeyValueMemory(30, 20).double()
    s = memory.initial(dtype=torch.float64)
    for _ in range(400):
        for key, content in zip(keys, contents, strict=True):
            s = memory.write(s, key, content)
    answers = torch.stack([memory.recall(s, key)[0] for key in keys])
    assert_close(answers, contents, atol=1e-6, rtol=0)
    least = np.linalg.lstsq((keys / 2).numpy(), contents.numpy(), rcond=None)[0].T
    assert_close(s.F, torch.from_numpy(least), atol=1e-6, rtol=0)


def test_the_delta_rule_overwrites_and_hebb_adds_up():
    key = torch.tensor([1.0, 1, 0, 0])
    old, new = torch.tensor([1.0, 0, 1]), torch.tensor([0.0, 1, 1])
    for write, expected in (("delta", new), ("hebb", old + new)):
        memory = KeyValueMemory(4, 3, write=write)
        assert isinstance(memory, Memory)
        assert isinstance(memory, Erasable)
        s = memory.write(memory.write(memory.initial(), key, old), key, new)
        assert_close(memory.recall(s, key)[0], expected)
        assert_close(memory.recall(memory.erase(s, key), key)[0], torch.zeros(3))
    half = KeyValueMemory(4, 3, strength=0.5)
    assert_close(half.recall(half.write(half.write(half.initial(), key, old), key, old), key)[0], 0.75 * old)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: KeyValueMemory(0, 3), "cue_size"),
        (lambda: KeyValueMemory(3, 3, strength=1.5), "strength"),
        (lambda: KeyValueMemory(3, 3, write="oja"), "hebb"),
        (lambda: KeyValueMemory(2, 2).write(KeyValueMemory(2, 2).initial(), torch.ones(2), torch.ones(3)), "content"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
