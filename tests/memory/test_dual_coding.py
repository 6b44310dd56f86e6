"""Dual-coding memory: reads against torch's attention and loops, rows in the order of writing, either code asked by the other."""

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.testing import assert_close

from neuropil.memory import DualCodingMemory, attend_nearest


def rows(batch=3, count=7, language=4, vision=5, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return (torch.randn(batch, count, size, generator=draws, dtype=torch.float64) for size in (language, vision))


def by_loops(query, keys, values, nearest):
    read, weights = np.zeros((len(query), values.shape[-1])), np.zeros(keys.shape[:-1])
    for b in range(len(query)):
        likeness = [sum(k * q for k, q in zip(key, query[b], strict=True)) / len(key) ** 0.5 for key in keys[b]]
        kept = sorted(range(len(likeness)), key=lambda row: -likeness[row])[:nearest]
        total = sum(np.exp(likeness[row]) for row in kept)
        for row in kept:
            weights[b, row] = np.exp(likeness[row]) / total
            read[b] += weights[b, row] * values[b, row]
    return read, weights


@pytest.mark.parametrize("nearest", [1, 3, 7, 20])
def test_the_nearest_rows_are_read_as_by_loops(nearest):
    language, vision = rows()
    memory, query = DualCodingMemory(4, 5, nearest=nearest), torch.randn(3, 4, dtype=torch.float64)
    found = memory.read(memory.State(language, vision), query)
    for own, expected in zip(found, by_loops(query.numpy(), language.numpy(), vision.numpy(), nearest), strict=True):
        assert_close(own, torch.from_numpy(expected))
    assert ((found[1] > 0).sum(1) == min(nearest, 7)).all()


def test_with_all_rows_it_is_torchs_attention_by_either_code():
    language, vision = rows()
    memory = DualCodingMemory(4, 5, nearest=None)
    s = memory.State(language, vision)
    for by, keys, values in (("language", language, vision), ("vision", vision, language)):
        query = torch.randn(3, keys.shape[-1], dtype=torch.float64)
        expected = scaled_dot_product_attention(query.unsqueeze(1), keys, values).squeeze(1)
        assert_close(memory.read(s, query, by=by)[0], expected)


def test_rows_are_kept_in_order_and_nothing_is_overwritten():
    language, vision = rows()
    memory = DualCodingMemory(4, 5)
    s = memory.initial(3, dtype=torch.float64)
    for t in range(7):
        s = memory.write(s, language[:, t], vision[:, t])
    assert torch.equal(s.language, language)
    assert torch.equal(s.vision, vision)


def test_an_empty_memory_answers_nought():
    memory = DualCodingMemory(4, 5)
    read, weights = memory.read(memory.initial(2), torch.ones(2, 4))
    assert torch.equal(read, torch.zeros(2, 5))
    assert weights.shape == (2, 0)


def test_gradients_reach_what_was_written_and_are_right():
    language, vision = (code.requires_grad_() for code in rows(2, 5))
    query = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda q, k, v: attend_nearest(q, k, v, 3)[0], (query, language, vision))


@pytest.mark.parametrize(
    ("make", "kind", "word"),
    [
        (lambda: DualCodingMemory(0, 3), ValueError, "language_size"),
        (lambda: DualCodingMemory(3, 3, nearest=0), ValueError, "nearest"),
        (lambda: attend_nearest(torch.ones(2), torch.ones(1, 2), torch.ones(1, 3), True), ValueError, "nearest"),
        (lambda: attend_nearest(torch.ones(2), torch.ones(1, 3), torch.ones(1, 3)), ValueError, "takes a query"),
        (lambda: DualCodingMemory(3, 2).write(DualCodingMemory(3, 2).initial(), torch.ones(3), torch.ones(3)), ValueError, "vision code"),
        (lambda: DualCodingMemory(3, 2).read(DualCodingMemory(3, 2).initial(), torch.ones(3), by="smell"), ValueError, "smell"),
        (lambda: DualCodingMemory(3, 2).read((torch.ones(1, 3), torch.ones(1, 2)), torch.ones(3)), TypeError, "its own State"),
    ],
)
def test_bad_input(make, kind, word):
    with pytest.raises(kind, match=word):
        make()
