import math
from collections import Counter

import pytest
import torch

from neuropil.data import FewShotSequences


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def parts(task, batch):
    """Exemplar classes, labels and the query's class, read from the tokens by the nearest prototype."""
    dim = task.prototypes.shape[1]
    nearest = (batch.tokens[:, ::2, :dim] @ task.prototypes.T).argmax(-1)
    return nearest[:, :-1], batch.tokens[:, 1::2, dim:].argmax(-1), nearest[:, -1]


@pytest.mark.parametrize(("pairs", "labels"), [(2, 5), (4, 6)])
def test_the_context_alone_tells_the_answer(pairs, labels):
    task = FewShotSequences(generator(), pairs=pairs, labels=labels, classes=20, new_classes=8, dim=16)
    batch = task.sample(500, generator(1))
    assert batch.tokens.shape == (500, task.length, task.inputs) == (500, 2 * pairs + 1, 16 + labels)
    shown, named, query = parts(task, batch)
    same = shown == query[:, None]
    assert (same.sum(1) == 1).all()  # the query is one of the context and only one
    assert (named[same] == batch.target).all()
    assert (2 * same.float().argmax(1) + 1 == batch.match).all()
    for row in (shown, named):
        assert all(len(set(items)) == pairs for items in row.tolist())


def test_a_class_has_no_label_and_no_place_of_its_own():
    task = FewShotSequences(generator(), classes=4, new_classes=0)
    shown, named, query = parts(task, task.sample(20_000, generator(1)))
    together = torch.zeros(4, 5)
    together.index_put_((shown.flatten(), named.flatten()), torch.ones(40_000), accumulate=True)
    expected = together.sum(1, keepdim=True) * together.sum(0, keepdim=True) / together.sum()
    chi2 = ((together - expected) ** 2 / expected).sum()
    assert chi2 < 39  # 12 degrees of freedom: p = 1e-4
    for place in (shown[:, 0], shown[:, 1], query):
        assert (place.bincount() / 20_000 - 0.25).abs().max() < 0.015


def test_held_out_sets_of_labels_and_new_classes_are_apart():
    task = FewShotSequences(generator(3), classes=30, new_classes=10, held_out_sets=2)
    seen, apart = (
        Counter(tuple(sorted(pair)) for pair in parts(task, task.sample(3000, generator(1), held_out=flag))[1].tolist())
        for flag in (False, True)
    )
    assert len(seen) == 8
    assert len(apart) == 2
    assert not set(seen) & set(apart)
    assert {label for pair in seen for label in pair} == set(range(5))
    for new, wanted in ((False, range(30)), (True, range(30, 40))):
        shown, _, _ = parts(task, task.sample(3000, generator(1), new=new))
        assert set(shown.flatten().tolist()) == set(wanted)


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
def test_prototypes_have_length_one_and_the_cosine_asked_for(shared):
    task = FewShotSequences(generator(), classes=200, new_classes=0, dim=256, shared=shared)
    torch.testing.assert_close(task.prototypes.norm(dim=1), torch.ones(200))
    cosines = (task.prototypes @ task.prototypes.T)[~torch.eye(200, dtype=torch.bool)]
    assert abs(cosines.mean() - shared) < 0.002
    assert abs(cosines.std() - (1 - shared) / math.sqrt(256)) < 0.005


def test_one_generator_one_sample():
    one, two = (FewShotSequences(generator(2)) for _ in range(2))
    assert torch.equal(one.prototypes, two.prototypes)
    for a, b in zip(one.sample(50, generator(5)), two.sample(50, generator(5)), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.sample(50, generator(6)).target, one.sample(50, generator(5)).target)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"pairs": 1}, "pairs"),
        ({"labels": 2, "pairs": 3}, "labels"),
        ({"classes": 1}, "classes"),
        ({"held_out_sets": 4}, "hold out fewer"),
        ({"shared": 1.0}, "shared"),
    ],
)
def test_refusals(given, said):
    with pytest.raises(ValueError, match=said):
        FewShotSequences(generator(), **given)


def test_nothing_held_out_is_said():
    task = FewShotSequences(generator(), new_classes=0, held_out_sets=0)
    for flag in ("new", "held_out"):
        with pytest.raises(ValueError, match="nothing held out"):
            task.sample(3, generator(), **{flag: True})
