from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from neuropil.continual import MaskedNeighbours


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def filled(masks=None, k=5):
    model = MaskedNeighbours(k)
    for label in range(4):
        model.store(label, drawn(25, 12, seed=label) + label / 4, None if masks is None else masks[label])
    return model


def test_without_masks_it_is_scikit_learns_on_unit_vectors():
    """With one neighbour and with three of two classes there are no ties, which the two break differently."""
    for k, labels in ((1, range(4)), (3, range(2))):
        model, peer = MaskedNeighbours(k), KNeighborsClassifier(k)
        vectors = [drawn(25, 12, seed=label) + label / 4 for label in labels]
        for label, own in zip(labels, vectors, strict=True):
            model.store(label, own)
        unit = [own / own.norm(dim=1, keepdim=True) for own in vectors]
        peer.fit(torch.cat(unit).numpy(), np.repeat(list(labels), 25))
        x = drawn(300, 12, seed=9)
        assert model(x).tolist() == peer.predict((x / x.norm(dim=1, keepdim=True)).numpy()).tolist()


def test_with_masks_it_is_its_definition():
    """Distances, votes and ties written out one vector at a time."""
    masks = torch.rand(4, 12, generator=torch.Generator().manual_seed(1)) < 0.6
    model, x = filled(masks), drawn(200, 12, seed=9)
    ties = 0
    for one, named in zip(x.double().numpy(), model(x).tolist(), strict=True):
        distances = []
        for label in range(4):
            units = masks[label].numpy()
            for vector in model.vectors(label).double().numpy():
                a, b = one[units], vector[units]
                distances.append((np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b)), label))
        near = [label for _, label in sorted(distances)[:5]]
        votes = Counter(near)
        best = [label for label in near if votes[label] == max(votes.values())]
        assert named == best[0]
        ties += len(set(best)) > 1
    assert ties > 10


def test_masks_of_all_units_are_none_and_others_are_not():
    x = drawn(200, 12, seed=9)
    whole = filled(torch.ones(4, 12, dtype=torch.bool))
    assert torch.equal(whole(x), filled()(x))
    some = filled(torch.rand(4, 12, generator=torch.Generator().manual_seed(1)) < 0.6)
    assert not torch.equal(some(x), whole(x))
    assert torch.equal(some(x, masked=False), whole(x))


def test_length_does_not_matter_and_what_is_stored_is_found():
    model = filled(k=1)
    x = drawn(50, 12, seed=9)
    assert torch.equal(model(x), model(7 * x))
    for label in range(4):
        assert set(model(model.vectors(label)).tolist()) == {label}


def test_silent_vectors_are_as_far_from_all_and_nothing_breaks():
    model = MaskedNeighbours(3)
    model.store(0, torch.zeros(2, 4))
    model.store(1, torch.eye(4))
    assert model(torch.zeros(1, 4)).tolist() == [0]
    assert model(torch.zeros(0, 4)).tolist() == []


def test_bytes_and_replacing():
    model = filled(torch.ones(4, 12, dtype=torch.bool))
    assert model.bytes == 4 * (25 * 12 * 4 + 2)
    model.store(0, drawn(5, 12), torch.arange(12) < 3)
    assert model.bytes == 3 * (25 * 12 * 4 + 2) + 5 * 12 * 4 + 2
    assert model.units(0).sum() == 3
    assert model.labels == [0, 1, 2, 3]


def test_what_it_cannot_take_is_refused():
    model = filled()
    for call, said in (
        (lambda: MaskedNeighbours(0), "k=0 was given"),
        (lambda: MaskedNeighbours()(torch.ones(1, 3)), "Nothing is stored"),
        (lambda: model.store(5, torch.ones(2, 3)), r"\[n, 12\]"),
        (lambda: model.store(5, torch.ones(2, 12), torch.zeros(12, dtype=torch.bool)), "one at least True"),
        (lambda: model.store(5, torch.ones(2, 12), torch.ones(12)), "torch.float32"),
        (lambda: model(torch.ones(2, 3)), r"vectors \[N, 12\]"),
        (lambda: model.vectors(8), "Nothing of class 8"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
