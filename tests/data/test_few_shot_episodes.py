"""Few-shot episodes: every class as often as said, labels that belong to no class, counts against loops."""

import pytest
import torch

from neuropil.data import FewShotEpisodes

CLASSES, EACH = 7, 4
LABELS = torch.arange(CLASSES * EACH) % CLASSES
IMAGES = torch.arange(float(CLASSES * EACH))[:, None, None].expand(-1, 2, 3)
"""Image k is k all over, so that a picture tells which it is."""


def draw(items=200, seed=0, among=range(CLASSES), **settings):
    task = FewShotEpisodes(IMAGES, LABELS, **{"ways": 3, "shots": 4, **settings})
    return task.draw(items, torch.Generator().manual_seed(seed), among=list(among))


def test_pictures_are_of_their_class_and_a_label_is_one_class_throughout():
    e = draw()
    assert e.seen.shape == (12, 200, 6)
    shown = e.seen[..., 0].long()
    assert (e.seen == e.seen[..., :1]).all()
    assert torch.equal(LABELS[shown], e.kind)
    for b in range(200):
        pairs = set(zip(e.label[:, b].tolist(), e.kind[:, b].tolist(), strict=True))
        assert len(pairs) == len({label for label, _ in pairs}) == len({kind for _, kind in pairs}) == 3
        count = dict.fromkeys(range(3), 0)
        for t in range(12):
            label = int(e.label[t, b])
            count[label] += 1
            assert count[label] == e.time[t, b]
        assert set(count.values()) == {4}


def test_no_label_belongs_to_a_class_no_moment_to_a_label_and_all_pictures_come():
    e = draw(items=20_000)
    for other, n in ((e.kind[0], CLASSES), (e.seen[0, :, 0].long(), CLASSES * EACH)):
        share = torch.bincount(e.label[0] * n + other, minlength=3 * n).double() / 20_000
        torch.testing.assert_close(share, torch.full((3 * n,), 1 / (3 * n), dtype=torch.float64), rtol=0, atol=0.006)
    last = torch.bincount(e.label[-1], minlength=3).double() / 20_000
    torch.testing.assert_close(last, torch.full((3,), 1 / 3, dtype=torch.float64), rtol=0, atol=0.012)


def test_only_what_is_asked_for_is_drawn_and_the_same_twice():
    e, again = draw(among=[1, 2, 5]), draw(among=[1, 2, 5])
    assert set(e.kind.unique().tolist()) == {1, 2, 5}
    assert all(torch.equal(a, b) for a, b in zip(e, again, strict=True))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: draw(ways=0), "ways"),
        (lambda: draw(shots=0), "shots"),
        (lambda: draw(among=[1, 2]), "3 different classes, 2 were given"),
        (lambda: draw(among=[1, 2, 2]), "different classes that there are images of"),
        (lambda: draw(among=[1, 2, 9]), "different classes that there are images of"),
        (lambda: draw(items=0), "items"),
        (lambda: FewShotEpisodes(IMAGES, LABELS[1:]), r"images \[N, ...\] and whole classes"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
