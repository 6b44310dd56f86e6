"""KeyedRecall: its answer is in the sequence, and each kind of memory has the accuracy that its counting gives."""

import pytest
import torch

from neuropil.data import KeyedRecall


def draw(items=4000, seed=0, **settings):
    task = KeyedRecall(**settings)
    return task, *task.draw(items, torch.Generator().manual_seed(seed))


def shown(task, x, pair):
    """The key and the value shown in a pair, read from the input."""
    moment = x[pair * task.shown]
    return moment[:, : task.keys].argmax(1), moment[:, task.keys : task.keys + task.values].argmax(1)


@pytest.mark.parametrize("pairs", [1, 2, 3])
def test_a_memory_of_bindings_is_always_right(pairs):
    task, x, y = draw(pairs=pairs, keys=5, values=6, delay=10, noise=0.3)
    assert x.shape == (task.steps, 4000, task.channels) == (4 * (pairs + 1) + 10, 4000, 12)
    asked, found = x[-1, :, :5].argmax(1), torch.full_like(y, -1)
    for pair in range(pairs):
        key, value = shown(task, x, pair)
        found = torch.where(key == asked, value, found)
    assert (found == y).all()


def test_the_accuracy_of_poorer_memories():
    task, x, y = draw(items=40_000, pairs=2, values=4, delay=5)
    _, last = shown(task, x, 1)
    assert (last == y).double().mean().item() == pytest.approx((1 + 1 / 4) / 2, abs=0.01)
    frequency = torch.bincount(y, minlength=4) / len(y)
    torch.testing.assert_close(frequency, torch.full((4,), 0.25), rtol=0, atol=0.01)
    for value in range(4):  # the key that is asked says nothing by itself
        assert (y[x[-1, :, 0] == 1] == value).double().mean().item() == pytest.approx(0.25, abs=0.03)


def test_keys_differ_and_noise_fills_the_wait_only():
    task, x, _ = draw(pairs=3, keys=3, delay=30, noise=0.25)
    first = torch.stack([shown(task, x, pair)[0] for pair in range(3)])
    assert (first.sort(0).values == torch.arange(3).unsqueeze(1)).all()
    assert x[12:42].mean().item() == pytest.approx(0.25, abs=0.005)
    assert (x[:12].sum(2) == 2).all()
    assert (x[42:].sum(2) == 2).all()
    assert (x[42:, :, -1] == 1).all()
    assert (x[:12, :, -1] == 0).all()


def test_the_generator_decides_everything():
    assert (draw(10)[1] == draw(10)[1]).all()
    assert (draw(10)[1] != draw(10, seed=1)[1]).any()


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"keys": 1}, "as many keys"), ({"noise": 1.5}, "probability"), ({"values": 1}, "values"), ({"delay": -1}, "delay")],
)
def test_settings_that_make_no_task(settings, says):
    with pytest.raises(ValueError, match=says):
        KeyedRecall(**settings)
