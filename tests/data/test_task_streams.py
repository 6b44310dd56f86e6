import numpy as np
import pytest
import torch
from scipy.ndimage import rotate

from neuropil.data import PermutedStream, RotatedStream, Setting, SplitStream

X = torch.rand(60, 6, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(60) % 6


def numpy(seed=0):
    return np.random.default_rng(seed)


def permuted(**options):
    return PermutedStream(X, Y, **{"tasks": 4, "setting": "domain", "generator": numpy()} | options)


def split(**options):
    return SplitStream(X, Y, **{"classes": [(0, 1), (4, 2), (5, 3)], "setting": "domain"} | options)


def test_a_permutation_moves_every_entry_and_can_be_undone():
    stream = permuted()
    for k, task in enumerate(stream):
        assert task.id == k
        undone = task.inputs.flatten(1)[:, stream.permutations[k].argsort()]
        assert torch.equal(undone.reshape(X.shape), X)
        assert torch.equal(task.labels, Y)
    assert torch.equal(stream[0].inputs, X)
    assert len({tuple(p) for p in stream.permutations.tolist()}) == 4
    assert not torch.equal(permuted(identity_first=False)[0].inputs, X)


def test_held_out_examples_get_the_same_permutation():
    stream = permuted()
    inputs, labels = stream.at(2, X[:5], Y[:5])
    assert torch.equal(inputs, stream[2].inputs[:5])
    assert torch.equal(labels, Y[:5])


@pytest.mark.parametrize(("angle", "turns"), [(0.0, 0), (90.0, 1), (180.0, 2), (-90.0, 3)])
def test_quarter_turns_are_exact(angle, turns):
    square = X[:, :, :6].double()
    turned = RotatedStream(square, Y, angles=[angle], setting="domain")[0].inputs
    torch.testing.assert_close(turned, torch.rot90(square, turns, (1, 2)), rtol=0, atol=1e-12)


def test_any_turn_is_scipys_bilinear_rotation():
    # Away from the border, where the two fill what lies outside differently; a wide picture, so that the axes must keep their scale.
    pictures = torch.rand(2, 20, 26, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    turned = RotatedStream(pictures, torch.arange(2), angles=[33.0], setting="domain")[0].inputs
    expected = rotate(pictures.numpy(), 33.0, axes=(1, 2), reshape=False, order=1)
    np.testing.assert_allclose(turned[:, 7:13, 9:17].numpy(), expected[:, 7:13, 9:17], atol=1e-9)


COLOURED = torch.rand(10, 3, 6, 8, generator=torch.Generator().manual_seed(2))


def test_colour_pictures_turn_channel_by_channel():
    turned = RotatedStream(COLOURED, Y[:10], angles=[20.0, 130.0], setting="domain")
    for channel in range(3):
        alone = RotatedStream(COLOURED[:, channel], Y[:10], angles=[20.0, 130.0], setting="domain")
        for k in range(2):
            torch.testing.assert_close(turned[k].inputs[:, channel], alone[k].inputs)


def test_a_permutation_of_colour_pictures_moves_pixels_and_keeps_their_colours():
    stream = PermutedStream(COLOURED, Y[:10], tasks=3, setting="domain", generator=numpy())
    assert stream.permutations.shape == (3, 48)
    for channel in range(3):
        alone = PermutedStream(COLOURED[:, channel], Y[:10], tasks=3, setting="domain", generator=numpy())
        for k in range(3):
            assert torch.equal(stream[k].inputs[:, channel], alone[k].inputs)


def test_drawn_angles_are_sorted_within_the_span():
    made = RotatedStream(X, Y, tasks=5, span=90.0, generator=numpy(3), setting="domain")
    assert list(made.angles) == sorted(made.angles)
    assert 0 <= made.angles[0] < made.angles[-1] < 90
    assert made.angles == RotatedStream(X, Y, tasks=5, span=90.0, generator=numpy(3), setting="domain").angles


def test_a_split_shows_every_example_once_with_the_labels_of_its_task():
    stream = split()
    for task, classes in zip(stream, stream.classes, strict=True):
        for new, old in enumerate(classes):
            assert torch.equal(task.inputs[task.labels == new], X[old == Y])
    assert sum(len(task) for task in stream) == 60


def test_splits_of_unequal_size_count_labels_on_from_task_to_task():
    stream = split(classes=[(0, 1, 5), (4,), (3, 2)], setting="class")
    assert [sorted(set(task.labels.tolist())) for task in stream] == [[0, 1, 2], [3], [4, 5]]
    assert (stream.outputs, stream.per_task, stream.sizes) == (6, 3, (3, 1, 2))
    assert split(classes=[(0, 1, 5), (4,)], setting="task").outputs == 3


def test_drawn_splits_cover_all_classes():
    made = SplitStream(X, Y, per_task=2, generator=numpy(2), setting="class")
    assert sorted(c for group in made.classes for c in group) == list(range(6))
    assert made.classes == SplitStream(X, Y, per_task=2, generator=numpy(2), setting="class").classes
    assert len({SplitStream(X, Y, per_task=2, generator=numpy(s), setting="class").classes for s in range(5)}) > 1


@pytest.mark.parametrize(("make", "per_task", "tasks"), [(permuted, 6, 4), (split, 2, 3)])
def test_the_setting_says_what_is_told_and_what_is_asked(make, per_task, tasks):
    # vandeven2022, table 1: label within the task with or without its identity, or the label over all tasks.
    for setting, known, outputs in [("task", True, per_task), ("domain", False, per_task), ("class", False, per_task * tasks)]:
        stream = make(setting=setting)
        assert (stream.task_known, stream.outputs, len(stream)) == (known, outputs, tasks)
        for k, task in enumerate(stream):
            start = k * per_task if setting == "class" else 0
            assert sorted(set(task.labels.tolist())) == list(range(start, start + per_task))
    assert make(setting=Setting.CLASS).setting is Setting.CLASS


def test_equal_seeds_give_equal_streams():
    assert torch.equal(permuted().permutations, permuted().permutations)
    assert not torch.equal(permuted().permutations, permuted(generator=numpy(1)).permutations)


NAN = torch.full_like(X, float("nan"))


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: permuted(setting="online"), ValueError, "task, domain, class, 'online'"),
        (lambda: permuted(tasks=0), ValueError, "tasks is at least 1"),
        (lambda: permuted()[4], IndexError, "tasks 0 to 3"),
        (lambda: permuted().at(0, X[:, :3], Y), ValueError, "have the shape"),
        (lambda: permuted().at(0, X, Y + 1), ValueError, "classes 0 to 5, labels up to 6"),
        (lambda: permuted().at(0, X, Y[:3]), ValueError, "one label each"),
        (lambda: PermutedStream(NAN, Y, tasks=2, setting="task", generator=numpy()), ValueError, "NaN"),
        (lambda: PermutedStream(X, Y.float(), tasks=2, setting="task", generator=numpy()), TypeError, "Labels are i64"),
        (lambda: PermutedStream(X, Y - 1, tasks=2, setting="task", generator=numpy()), ValueError, "count from 0, -1"),
        (lambda: PermutedStream(X, Y, tasks=2, setting="task", generator=None), TypeError, "numpy generator"),
        (lambda: permuted().at(0, X, Y.to("meta")), ValueError, "labels on meta"),
        (lambda: RotatedStream(X.flatten(1), Y, angles=[0], setting="task"), ValueError, r"pictures \[N, H, W\] or"),
        (lambda: RotatedStream(X[:, None, None], Y, angles=[0], setting="task"), ValueError, r"\[N, C, H, W\], torch.float32"),
        (lambda: RotatedStream(X.byte(), Y, angles=[0], setting="task"), ValueError, "floating-point"),
        (lambda: RotatedStream(X, Y, setting="task"), ValueError, "either angles, or tasks"),
        (lambda: RotatedStream(X, Y, angles=[float("nan")], setting="task"), ValueError, "finite"),
        (lambda: RotatedStream(X, Y, angles=[], setting="task"), ValueError, "tasks is at least 1"),
        (lambda: RotatedStream(X, Y, tasks=3, generator=7, setting="task"), TypeError, "numpy generator"),
        (lambda: split(classes=[(0, 1), ()]), ValueError, "none empty"),
        (lambda: split(classes=[(0, 1), (1, 2)]), ValueError, "no class twice"),
        (lambda: split(classes=[(0, 9)]), ValueError, "no example of class 9"),
        (lambda: split(per_task=2, generator=numpy()), ValueError, "one of the two"),
        (lambda: SplitStream(X, Y, per_task=4, generator=numpy(), setting="task"), ValueError, "divides the number of classes, 6; 4"),
    ],
)
def test_streams_that_cannot_be_are_refused(call, error, said):
    with pytest.raises(error, match=said) as raised:
        call()
    assert "\n" not in str(raised.value)
