"""Fast mapping: every episode holds its answer, words are dealt out anew, views and turns are those of NumPy."""

import numpy as np
import pytest
import torch

from neuropil.data import FastMapping, quarter_turns

CLASSES, EACH, SIDE = 6, 5, 3
LABELS = torch.arange(CLASSES * EACH) % CLASSES
IMAGES = torch.arange(1.0, CLASSES * EACH + 1)[:, None, None].expand(-1, SIDE, SIDE)
"""Image k is k + 1 all over, so that a picture without shift tells which it is."""


def draw(items=500, objects=4, seed=0, fresh=False, among=range(CLASSES), **settings):
    task = FastMapping(IMAGES, LABELS, **{"words": 9, "shift": 0, **settings})
    return task, task.draw(items, objects, torch.Generator().manual_seed(seed), among=list(among), fresh=fresh)


def which(pictures):
    """The image of each picture."""
    assert (pictures == pictures[..., :1]).all()
    return pictures[..., 0].long() - 1


@pytest.mark.parametrize(("fresh", "silent"), [(False, 0), (False, 2), (True, 1)])
def test_what_was_named_by_the_word_is_the_answer(fresh, silent):
    task, e = draw(fresh=fresh, silent=silent)
    last = 4 * (1 + silent)
    assert e.seen.shape == (last + 1, 500, 9)
    assert e.heard.shape == (last + 1, 500, 11) == (last + 1, 500, task.channels)
    assert (e.seen[last] == 0).all()
    for b in range(500):
        word = int(e.heard[last, b, :9].argmax())
        (named,) = [t for t in range(last) if e.heard[t, b, word]]
        assert named == e.row[b]
        shown, offered = which(e.seen[:last, b]), which(e.offered[b])
        same = (LABELS[offered] if fresh else offered) == (LABELS[shown[named]] if fresh else shown[named])
        assert same.nonzero().flatten().tolist() == [int(e.place[b])]
        assert len(set(LABELS[offered].tolist())) == 4
        assert set(LABELS[shown].tolist()) == set(LABELS[offered].tolist())


def test_phrases_and_silence():
    _, e = draw(silent=1)
    naming, silence, last = e.heard[0:8:2], e.heard[1:8:2], e.heard[8]
    for said, phrase in ((naming, [1.0, 0.0]), (last, [0.0, 1.0])):
        assert (said[..., :9].sum(-1) == 1).all()
        assert (said[..., 9:] == torch.tensor(phrase)).all()
    assert (silence == 0).all()
    assert (naming[..., :9].sum(0) <= 1).all()


def test_no_word_belongs_to_a_class_and_no_place_is_likelier():
    _, e = draw(items=60_000, objects=3, silent=0)
    word, label = e.heard[0, :, :9].argmax(1), LABELS[which(e.seen[0])]
    counts = torch.bincount(word * CLASSES + label, minlength=54).double() / 60_000
    torch.testing.assert_close(counts, torch.full((54,), 1 / 54, dtype=torch.float64), rtol=0, atol=0.003)
    joint = torch.bincount(e.row * 3 + e.place, minlength=9).double() / 60_000
    torch.testing.assert_close(joint, torch.full((9,), 1 / 9, dtype=torch.float64), rtol=0, atol=0.006)


def test_an_object_stays_itself_unless_fresh():
    _, same = draw(items=2000)
    _, fresh = draw(items=2000, fresh=True)
    named = [which(e.seen[:-1].gather(0, e.row[None, :, None].expand(1, -1, 9))[0]) for e in (same, fresh)]
    chosen = [which(e.offered[torch.arange(2000), e.place]) for e in (same, fresh)]
    assert torch.equal(named[0], chosen[0])
    assert (named[1] == chosen[1]).double().mean().item() == pytest.approx(1 / EACH, abs=0.03)


def test_only_classes_asked_for():
    _, e = draw(among=[1, 4, 5], objects=3)
    assert set(LABELS[which(e.offered)].unique().tolist()) == {1, 4, 5}


def test_views_are_moved_by_up_to_the_shift():
    image = torch.arange(1.0, 17.0).reshape(1, 4, 4)
    task = FastMapping(image, torch.zeros(1, dtype=torch.int64), words=2, silent=0, shift=1)
    e = task.draw(600, 1, torch.Generator().manual_seed(0), among=[0])
    padded = np.pad(image[0].numpy(), 1)
    expected = {padded[y : y + 4, x : x + 4].tobytes() for y in range(3) for x in range(3)}
    for pictures in (e.seen[0], e.offered[:, 0]):
        assert {one.numpy().tobytes() for one in pictures} == expected


def test_quarter_turns_make_four_classes_of_each():
    draws = np.random.default_rng(0)
    images, labels = draws.integers(0, 256, (3, 5, 5), dtype=np.uint8), np.array([0, 2, 1])
    pictures, classes = quarter_turns(images, labels)
    for k in range(4):
        for n in range(3):
            (found,) = (classes == 4 * labels[n] + k).nonzero().flatten()
            assert np.array_equal((pictures[found].numpy() * 255).round(), np.rot90(images[n], k))


def test_the_generator_decides_everything():
    for one, same, other in zip(draw(20)[1], draw(20)[1], draw(20, seed=1)[1], strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: FastMapping(IMAGES[:, 0], LABELS), "images"),
        (lambda: FastMapping(IMAGES, LABELS.float()), "classes"),
        (lambda: FastMapping(IMAGES, LABELS, shift=-1), "shift"),
        (lambda: draw(objects=7), "ask for fewer"),
        (lambda: draw(among=[0, 0, 1], objects=2), "different classes"),
        (lambda: draw(among=[0, 1, 9], objects=2), "different classes"),
        (lambda: quarter_turns(np.zeros((2, 3, 4), np.uint8), np.zeros(2, np.int64)), "square"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
