"""An index layer: decoding and feedback against loops in NumPy, and semantic memory against a table that it is to learn."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.memory import IndexLayer

GROUPS = {"subject": 3, "object": 4, "predicate": 2}


def layer(size=5, spread=0.7):
    made = IndexLayer(GROUPS, size, spread=spread, generator=torch.Generator().manual_seed(0)).double()
    torch.nn.init.normal_(made.bias, generator=torch.Generator().manual_seed(1))
    return made


def by_hand(index, q, units):
    a, b = (one.detach().numpy()[units] for one in (index.embedding, index.bias))
    scores = [b[i] + sum(a[i, r] / (1 + np.exp(-q[r])) for r in range(len(q))) for i in range(len(a))]
    return np.array(scores) - np.log(sum(np.exp(score) for score in scores))


def test_decoding_after_feedback_is_that_of_loops():
    index, q = layer(), torch.randn(6, 5, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    s, o = torch.tensor([0, 2, 1, 1, 0, 2]), torch.tensor([3, 0, 1, 2, 3, 3])
    fed = index.feed_back(index.feed_back(q, "subject", s, strength=1.5), "object", o, strength=-0.5)
    found = index.decode(fed, "predicate").detach().numpy()
    a = index.embedding.detach().numpy()
    for k in range(6):
        told = q[k].numpy() + 1.5 * a[int(s[k])] - 0.5 * a[3 + int(o[k])]
        np.testing.assert_allclose(found[k], by_hand(index, told, slice(7, 9)), rtol=1e-9)


def test_recall_starts_from_the_rest_of_the_group_that_is_asked_for():
    index = layer()
    rest, a = index.rest.detach().numpy(), index.embedding.detach().numpy()
    np.testing.assert_allclose(index.from_memory("subject", {}).detach().numpy(), by_hand(index, rest[0], slice(0, 3)), rtol=1e-9)
    answers = index.from_memory("object", {"subject": torch.tensor([2, 0])}, strength=2.0).detach().numpy()
    for answer, s in zip(answers, (2, 0), strict=True):
        np.testing.assert_allclose(answer, by_hand(index, rest[1] + 2 * a[s], slice(3, 7)), rtol=1e-9)
    every = index.from_memory("predicate", {"subject": torch.arange(3)[:, None], "object": torch.arange(4)})
    assert every.shape == (3, 4, 2)
    one = index.from_memory("predicate", {"subject": torch.tensor(1), "object": torch.tensor(3)})
    assert_close(every[1, 3], one)


def test_semantic_memory_learns_a_table_of_conditional_probabilities():
    draws = torch.Generator().manual_seed(3)
    table = torch.rand(3, 4, generator=draws).softmax(-1) ** 3
    table = table / table.sum(-1, keepdim=True)
    index = IndexLayer(GROUPS, 16, spread=0.3, generator=draws)
    optimizer = torch.optim.Adam(index.parameters(), 0.03)
    for _ in range(300):
        optimizer.zero_grad()
        (-(table * index.from_memory("object", {"subject": torch.arange(3)})).sum()).backward()
        optimizer.step()
    assert_close(index.from_memory("object", {"subject": torch.arange(3)}).exp(), table, atol=0.01, rtol=0)


def test_no_feedback_leaves_a_representation_as_it_is():
    index, q = layer(), torch.randn(2, 5, dtype=torch.double)
    assert torch.equal(index.feed_back(q, "object", torch.tensor([1, 3]), strength=0.0), q)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: IndexLayer({}, 4), "a group of a unit"),
        (lambda: IndexLayer({"a": 0}, 4), "a group of a unit"),
        (lambda: IndexLayer({"a": 2}, 0), "a size of 1"),
        (lambda: IndexLayer({"a": 2}, 4, spread=-1.0), "spread"),
        (lambda: layer().decode(torch.zeros(2, 4), "object"), r"\[..., 5\]"),
        (lambda: layer().decode(torch.zeros(2, 5).double(), "time"), "'time'"),
        (lambda: layer().from_memory("time", {}), "'time'"),
        (lambda: layer().feed_back(torch.zeros(1, 5).double(), "subject", torch.tensor([3])), "from 0 to 2"),
        (lambda: layer().feed_back(torch.zeros(1, 5).double(), "subject", torch.tensor([0.5])), "from 0 to 2"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
