"""The memory of a Neural Turing Machine: addressing against loops in NumPy and closed forms, erasing and adding by their algebra, gradients by finite differences."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.memory import NeuralTuringMemory
from neuropil.memory.neural_turing_machine import START, Aim, address, by_content, erased_and_added, sharpened, shifted

N, W, H = 7, 4, 3
DOUBLE = torch.float64


def drawn(seed=0, lead=()):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*lead, *shape, generator=generator, dtype=DOUBLE)

    s = NeuralTuringMemory.State(normal(N, W), normal(H, N).softmax(-1))
    aim = Aim(normal(H, W), 1 + normal(H, 1).exp(), normal(H, 1).sigmoid(), normal(H, 5).softmax(-1), 1 + normal(H, 1).exp())
    return s, aim, normal(H, W).sigmoid(), normal(H, W)


def test_addressing_is_that_of_loops_over_heads_and_places():
    s, aim, _, _ = drawn()
    m, before = s.contents.numpy(), s.weights.numpy()
    key, strength, gate, shift, sharp = (field.numpy() for field in aim)
    expected = np.zeros((H, N))
    for h in range(H):
        likeness = np.array([m[i] @ key[h] / np.sqrt((m[i] @ m[i]) * (key[h] @ key[h])) for i in range(N)])
        content = np.exp(strength[h] * likeness) / np.exp(strength[h] * likeness).sum()
        between = gate[h] * content + (1 - gate[h]) * before[h]
        for i in range(N):
            expected[h, i] = sum(between[(i - by) % N] * shift[h, by + 2] for by in range(-2, 3))
        expected[h] = expected[h] ** sharp[h] / (expected[h] ** sharp[h]).sum()
    assert_close(address(s, aim), torch.from_numpy(expected))


def test_a_shift_is_a_product_of_fourier_transforms():
    s, aim, _, _ = drawn(1)
    kernel = np.zeros((H, N))
    for by in range(-2, 3):
        kernel[:, by % N] = aim.shift[:, by + 2]
    product = np.fft.ifft(np.fft.fft(s.weights.numpy()) * np.fft.fft(kernel)).real
    assert_close(shifted(s.weights, aim.shift), torch.from_numpy(product))


def test_closed_forms_at_the_ends():
    """No strength: all places alike; a great one: the row of the key. Sharpening multiplies the logarithm of odds. A whole shift moves a head, around the ring."""
    s, aim, _, _ = drawn(2)
    assert_close(by_content(s.contents, aim.key, torch.zeros(H, 1, dtype=DOUBLE)), torch.full((H, N), 1 / N, dtype=DOUBLE))
    found = by_content(s.contents, 0.3 * s.contents[:H], torch.full((H, 1), 1e4, dtype=DOUBLE))
    assert_close(found, torch.eye(H, N, dtype=DOUBLE))
    odds, sharper = s.weights.log().diff(), sharpened(s.weights, torch.full((H, 1), 3.5, dtype=DOUBLE))
    assert_close(sharper.log().diff(), 3.5 * odds)
    head = torch.eye(N)[[N - 1]]
    for place, way in ((0, [0.0, 0, 1]), (N - 1, [0.0, 1, 0]), (N - 2, [1.0, 0, 0])):
        assert_close(shifted(head, torch.tensor([way])), torch.eye(N)[[place]])


def test_the_gate_chooses_between_content_and_place():
    s, aim, _, _ = drawn(3)
    stay = torch.tensor([[0.0, 0, 1, 0, 0]], dtype=DOUBLE).expand(H, 5)
    plain = aim._replace(shift=stay, sharpening=torch.ones(H, 1, dtype=DOUBLE))
    assert_close(address(s, plain._replace(gate=torch.zeros(H, 1, dtype=DOUBLE))), s.weights)
    assert_close(address(s, plain._replace(gate=torch.ones(H, 1, dtype=DOUBLE))), by_content(s.contents, aim.key, aim.strength))


def test_erasing_and_adding():
    """On one place with all of a weight: what was there is gone and the addition is there; the order of heads does not matter; half erased twice leaves a quarter."""
    s, _, erase, add = drawn(4)
    one = torch.eye(N, dtype=DOUBLE)[[2]]
    ones, new = torch.ones(1, W, dtype=DOUBLE), add[:1]
    written = erased_and_added(s.contents, one, ones, new)
    assert_close(written[2], new[0])
    assert_close(written[[0, 1, 3, 4, 5, 6]], s.contents[[0, 1, 3, 4, 5, 6]])
    assert_close(erased_and_added(s.contents, one, 0 * ones, 0 * new), s.contents)
    assert_close(
        erased_and_added(s.contents, s.weights, erase, add), erased_and_added(s.contents, s.weights.flip(0), erase.flip(0), add.flip(0))
    )
    twice = erased_and_added(s.contents, one.expand(2, N), 0.5 * ones.expand(2, W), 0 * new.expand(2, W))
    assert_close(twice[2], s.contents[2] / 4)
    m, w, e, a = (each.numpy() for each in (s.contents, s.weights, erase, add))
    expected = m * np.prod([1 - np.outer(w[h], e[h]) for h in range(H)], axis=0) + sum(np.outer(w[h], a[h]) for h in range(H))
    assert_close(erased_and_added(s.contents, s.weights, erase, add), torch.from_numpy(expected))


def test_a_moment_reads_what_the_last_one_left_and_samples_do_not_touch():
    memory = NeuralTuringMemory(N, W, reads=2, writes=1, reach=2).double()
    s, aim, erase, add = drawn(5, lead=(6,))
    read, after = memory.move(aim, erase[..., :1, :], add[..., :1, :], s)
    assert_close(read, (address(s, aim)[..., :2, :] @ s.contents).flatten(-2))
    assert_close(after.weights.sum(-1), torch.ones(6, H, dtype=DOUBLE))
    for i in range(6):
        one = NeuralTuringMemory.State(s.contents[i], s.weights[i])
        alone, left = memory.move(Aim(*(field[i] for field in aim)), erase[i, :1], add[i, :1], one)
        assert_close(alone, read[i])
        assert_close(left.contents, after.contents[i])


def test_what_is_asked_is_brought_into_range():
    memory = NeuralTuringMemory(N, W, reads=1, writes=2, reach=2)
    assert memory.asked == 3 * (W + 5 + 3) + 2 * 2 * W
    asked = 30 * torch.randn(50, memory.asked, generator=torch.Generator().manual_seed(0))
    aim, erase, add = memory.aim(asked)
    assert (aim.strength >= 0).all()
    assert (aim.sharpening >= 1).all()
    assert ((aim.gate >= 0) & (aim.gate <= 1) & (erase[:, :1, :1] <= 1) & (erase[:, :1, :1] >= 0)).all()
    assert aim.key.abs().max() <= 1
    assert add.shape == erase.shape == (50, 2, W)
    assert_close(aim.shift.sum(-1), torch.ones(50, 3))


def test_at_first_nothing_is_held_and_heads_are_at_the_first_place():
    memory = NeuralTuringMemory(N, W)
    s = memory.initial(5)
    assert (s.contents == START).all()
    assert (s.weights[..., 0] > 0.98).all()
    assert_close(s.weights.sum(-1), torch.ones(5, 2))


def test_gradients_of_a_moment_by_finite_differences():
    memory = NeuralTuringMemory(4, 3).double()
    s = NeuralTuringMemory.State(torch.randn(4, 3, dtype=DOUBLE), torch.randn(2, 4, dtype=DOUBLE).softmax(-1))
    asked = torch.randn(memory.asked, dtype=DOUBLE)

    def moment(asked, contents, weights):
        read, after = memory.step(asked, NeuralTuringMemory.State(contents, weights))
        return read, *after

    assert torch.autograd.gradcheck(moment, tuple(each.requires_grad_() for each in (asked, *s)))


def test_gradients_stay_finite_from_the_first_moment_and_over_erased_rows():
    memory = NeuralTuringMemory(N, W)
    asked = torch.randn(20, memory.asked, generator=torch.Generator().manual_seed(1)).mul(20).requires_grad_()
    s, total = memory.initial(), 0.0
    for moment in asked:
        read, s = memory.step(moment, s._replace(contents=0 * s.contents))
        total = total + read.sum() + s.weights.square().sum()
    total.backward()
    assert asked.grad.isfinite().all()
    assert memory.start.grad.isfinite().all()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: NeuralTuringMemory(0, 3), "places"),
        (lambda: NeuralTuringMemory(5, 3, writes=0), "writes"),
        (lambda: NeuralTuringMemory(2, 3), "ring of 2 places"),
        (lambda: NeuralTuringMemory(5, 3).step(torch.zeros(4), NeuralTuringMemory(5, 3).initial()), "asked by"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_the_state_of_another_is_refused():
    memory = NeuralTuringMemory(5, 3)
    with pytest.raises(TypeError, match="its own State"):
        memory.step(torch.zeros(memory.asked), torch.zeros(2))
