"""SlotWorkingMemory against loops in NumPy, and at gates that are open or shut."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.memory import OuterProductMemory, SlotWorkingMemory


def memory(slots=3, width=4, **given):
    part = SlotWorkingMemory(slots, width, heads=2, generator=torch.Generator().manual_seed(2), **given).double()
    with torch.no_grad():  # norms and biases that are not 1 and 0, so that nothing hides behind them
        for k, parameter in enumerate(part.parameters()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
    return part


def normalised(rows, norm):
    centred = rows - rows.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + norm.eps)
    return scaled * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def affine(x, layer):
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_two_writes_are_what_numpy_gives():
    part = memory(top=2)
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    s = part.initial()
    m = np.eye(3, 4)
    for _ in range(2):
        taken = part.attention(torch.from_numpy(m), x, 2).detach().numpy()
        h = normalised(m + taken, part.norm1)
        expected = normalised(h + np.maximum(affine(np.maximum(affine(h, part.inner), 0), part.outer), 0), part.norm2)
        summary = np.maximum(part.summary.detach().numpy() * x.numpy(), 0).mean(0)
        i, f = np.split(sigmoid(affine(summary, part.from_input) + affine(np.tanh(m), part.from_slots)), 2, -1)
        m = i * np.tanh(expected) + f * m
        content, s = part.write(s, x)
        assert_close(content.detach().numpy(), expected)
        assert_close(s.slots.detach().numpy(), m)
    assert_close(part.read(s, x), part.attention(x, s.slots))


def test_gates_that_are_shut_keep_the_slots_and_open_ones_replace_them():
    part, x = memory(), torch.randn(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for i, f in ((0, 1), (1, 0)):
        with torch.no_grad():
            part.from_input.bias[:4], part.from_input.bias[4:] = 200 * (2 * i - 1), 200 * (2 * f - 1)
        content, s = part.write(part.initial(), x)
        assert_close(s.slots, content.tanh() if i else part.initial().slots)


def test_slots_begin_as_rows_of_an_identity_cut_or_filled_up():
    assert torch.equal(memory().initial(2).slots[1], torch.eye(3, 4).double())
    assert torch.equal(memory(5, 2).initial().slots, torch.eye(5, 2).double())


def test_it_forgets_less_than_half_at_first():
    part = SlotWorkingMemory(3, 8, generator=torch.Generator().manual_seed(0))
    _, f = part.gates(part.initial(), torch.zeros(1, 8))
    assert f.mean() > 0.6


@pytest.mark.parametrize(
    ("make", "error", "word"),
    [
        (lambda: SlotWorkingMemory(0, 4), ValueError, "slots"),
        (lambda: SlotWorkingMemory(2, 4, top=0), ValueError, "top"),
        (lambda: SlotWorkingMemory(2, 6), ValueError, "multiple of its heads"),
        (lambda: memory().write(memory().initial(), torch.zeros(2, 5).double()), ValueError, "source"),
        (lambda: memory().write(OuterProductMemory(3, 4).initial(), torch.zeros(2, 4).double()), TypeError, "its own State"),
    ],
)
def test_bad_input(make, error, word):
    with pytest.raises(error, match=word):
        make()
