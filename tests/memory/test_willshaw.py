import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.memory import Memory, WillshawMemory


def coded(rng, rows, size, active):
    return (rng.random((rows, size)).argsort(axis=1) < active).astype(float)


def test_written_and_read_as_sets_in_plain_python():
    rng = np.random.default_rng(0)
    keys, contents = coded(rng, 12, 30, 3), coded(rng, 12, 25, 4)
    memory = WillshawMemory(30, 25)
    assert isinstance(memory, Memory)
    s, on = memory.initial(), set()
    for key, content in zip(keys, contents, strict=True):
        s = memory.write(s, torch.from_numpy(key).float(), torch.from_numpy(content).float())
        on |= {(j, k) for j in np.flatnonzero(content) for k in np.flatnonzero(key)}
    assert {(j, k) for j, k in s.w.nonzero().tolist()} == on
    for key, content in zip(keys, contents, strict=True):
        expected = [float(all((j, k) in on for k in np.flatnonzero(key))) for j in range(25)]
        found, _ = memory.recall(s, torch.from_numpy(key).float())
        assert found.tolist() == expected
        assert (found.numpy() >= content).all()
        part = np.flatnonzero(content)[:2]
        expected = [float(sum((j, k) in on for j in part) >= 1) for k in range(30)]
        any_of = WillshawMemory(30, 25, threshold=1)
        assert any_of.recall_cues(s, torch.zeros(25).index_fill(0, torch.from_numpy(part), 1.0))[0].tolist() == expected


def test_load_and_false_answers_follow_the_law_of_1969():
    """Share on: 1 - (1 - ab / KN)^M. A cell of none of its contents answers falsely where the keys of its other pairs cover the key:
    sum_i (-1)^i C(a, i) (1 - b/N + b/N C(K-i, a) / C(K, a))^(M-1)."""
    k, n, a, b, pairs, copies = 256, 256, 8, 8, 500, 8
    rng = np.random.default_rng(1)
    keys, contents = coded(rng, pairs * copies, k, a).reshape(pairs, copies, k), coded(rng, pairs * copies, n, b).reshape(pairs, copies, n)
    keys, contents = torch.from_numpy(keys).float(), torch.from_numpy(contents).float()
    memory = WillshawMemory(k, n)
    s = memory.initial(copies)
    for key, content in zip(keys, contents, strict=True):
        s = memory.write(s, key, content)
    load = 1 - (1 - a * b / (k * n)) ** pairs
    assert s.w.mean().item() == pytest.approx(load, rel=0.01)
    false = total = 0.0
    for key, content in zip(keys[:100], contents[:100], strict=True):
        found, _ = memory.recall(s, key)
        assert bool((found >= content).all())
        false += (found * (1 - content)).sum().item()
        total += (1 - content).sum().item()
    missed = [math.comb(k - i, a) / math.comb(k, a) for i in range(a + 1)]
    law = sum((-1) ** i * math.comb(a, i) * (1 - b / n + b / n * q) ** (pairs - 1) for i, q in enumerate(missed))
    assert load**a < law < 3 * load**a
    assert false / total == pytest.approx(law, abs=5 * math.sqrt(law / total))


def test_clearing_overwrites_and_without_it_contents_add_up():
    cue, other = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0])
    old, new = torch.tensor([1.0, 1, 0, 0]), torch.tensor([0.0, 1, 1, 0])
    for clear, expected in ((True, new), (False, torch.maximum(old, new))):
        memory = WillshawMemory(3, 4, threshold=1, clear=clear)
        s = memory.write(memory.initial(), other, old)
        s = memory.write(memory.write(s, cue, old), cue, new)
        assert_close(memory.recall(s, cue)[0], expected)
        assert_close(memory.recall(s, other)[0], old)
    assert memory.recall_cues(s, torch.zeros(4))[0].sum() == 0
    assert memory.recall(s, torch.zeros(3))[0].sum() == 0


@pytest.mark.parametrize(
    ("make", "kind", "word"),
    [
        (lambda: WillshawMemory(0, 3), ValueError, "cue_size"),
        (lambda: WillshawMemory(3, 3, threshold=0), ValueError, "threshold"),
        (lambda: WillshawMemory(3, 3, threshold="most"), ValueError, "threshold"),
        (lambda: WillshawMemory(2, 2).recall(WillshawMemory(2, 2).initial(), [1, 0]), TypeError, "list"),
        (lambda: WillshawMemory(2, 2).write(WillshawMemory(2, 2).initial(), torch.ones(2), torch.ones(3)), ValueError, "content"),
    ],
)
def test_bad_input(make, kind, word):
    with pytest.raises(kind, match=word):
        make()


def test_capacity_is_the_load_at_which_false_answers_reach_what_is_allowed():
    """Willshaw's law backwards: as many pairs as ``capacity`` says, and as many cells answer falsely as were allowed, within the error of taking them as independent."""
    size, active, wrong = 400, 7, 0.05
    memory = WillshawMemory(size, size)
    pairs = round(memory.capacity(active, active, wrong=wrong))
    load = 1 - (1 - active**2 / size**2) ** pairs
    assert load**active * (size - active) == pytest.approx(wrong * active, rel=0.01)
    rng = np.random.default_rng(5)
    keys, contents = (torch.from_numpy(coded(rng, pairs, size, active)).float() for _ in range(2))
    s = memory.initial()
    for key, content in zip(keys, contents, strict=True):
        s = memory.write(s, key, content)
    found = memory.recall(type(s)(s.w.expand(300, -1, -1)), keys[:300])[0]
    false = (found - contents[:300]).sum().item() / 300
    assert wrong * active * 0.8 < false < wrong * active * 2.5


def test_erasing_takes_the_pair_and_only_what_others_share_with_it():
    memory = WillshawMemory(6, 4)
    one, other = torch.tensor([1.0, 1, 0, 0, 0, 0]), torch.tensor([0.0, 0, 0, 1, 1, 0])
    first, second = torch.tensor([1.0, 1, 0, 0]), torch.tensor([0.0, 1, 1, 0])
    s = memory.write(memory.write(memory.initial(), one, first), other, second)
    gone = memory.erase(s, one)
    assert memory.recall(gone, one)[0].sum() == 0
    assert_close(memory.recall(gone, other)[0], second)
    part = memory.erase(s, one, torch.tensor([1.0, 0, 0, 0]))
    assert memory.recall(part, one)[0].tolist() == [0, 1, 0, 0]
