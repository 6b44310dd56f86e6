from itertools import product

import numpy as np
import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.studies.memory import tensor_brain as brain
from neuropil.studies.memory.tensor_brain import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SIZES = tuple(dict(SMOKE).items())


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def scores(seed=0, n=30):
    draws = torch.Generator().manual_seed(seed)
    shapes = ((n, brain.CONCEPTS), (n, brain.CONCEPTS, brain.CONCEPTS), (n, brain.CONCEPTS, brain.CONCEPTS, brain.PREDICATES))
    return [torch.randn(shape, generator=draws) for shape in shapes]


def test_a_graph_is_of_low_rank_and_its_tables_are_probabilities():
    graph = brain.draw_graph(np.random.default_rng(0))
    for table in graph.objects, graph.predicates:
        torch.testing.assert_close(table.sum(-1), torch.ones(table.shape[:-1], dtype=torch.double))
    assert np.linalg.matrix_rank(graph.objects.numpy()) == brain.KINDS
    assert np.linalg.matrix_rank(graph.predicates.numpy().reshape(brain.CONCEPTS, -1)) == brain.KINDS


def test_pairs_to_learn_to_choose_by_and_to_be_judged_by_are_apart():
    task = brain._task(SIZES, 1000)
    assert task.pairs.sum(0).eq(1).all()
    assert task.pairs[1:].sum((1, 2)).min() >= 10
    for k, parts in ((0, [task.train]), (1, task.validation), (2, task.test), (0, task.seen)):
        for scenes in parts:
            s, o, _ = scenes.triple.unbind(1)
            assert task.pairs[k][s, o].all()


def test_triples_are_as_often_as_the_graph_says_and_pictures_are_of_them():
    draws = np.random.default_rng(1)
    graph, every = brain.draw_graph(draws), torch.ones(brain.CONCEPTS, brain.CONCEPTS, dtype=torch.bool)
    images = torch.arange(1.0, 11.0)[:, None, None].expand(10, 3, 3)
    views, triple = brain.compose(40_000, every, graph, images, np.arange(10), draws)
    shares = brain.count(triple) / len(triple)
    torch.testing.assert_close(
        shares.sum((0, 1)), (graph.objects[..., None] * graph.predicates).sum((0, 1)) / brain.CONCEPTS, atol=0.01, rtol=0
    )
    torch.testing.assert_close(shares.sum(2), graph.objects / brain.CONCEPTS, atol=0.002, rtol=0)
    joined = views[:, 2].reshape(-1, 3, 3)
    for role, picture in ((0, views[:, 0, 0]), (1, views[:, 1, 0])):
        concept = triple[:, role]
        assert torch.equal(picture, (concept % 10 + 1).float() * torch.where(concept < 10, 1.0, -1.0))
    torch.testing.assert_close(joined[:, 1, 1], views[:, 0, 0])
    rows, columns = torch.tensor(brain.CELLS)[triple[:, 2]].unbind(1)
    torch.testing.assert_close(joined[torch.arange(len(joined)), rows, columns], views[:, 1, 0])
    assert (joined != 0).sum((1, 2)).eq(2).all()


def test_the_most_probable_triple_is_that_of_trying_all_and_in_turn_is_greedy():
    s, o, p = scores()
    found, turn = brain.most_probable(s, o, p), brain.in_turn(s, o, p)
    for k in range(4):
        every = product(range(brain.CONCEPTS), range(brain.CONCEPTS), range(brain.PREDICATES))
        best = max(every, key=lambda t: float(s[k, t[0]] + o[k, t[0], t[1]] + p[k, t[0], t[1], t[2]]))
        assert tuple(found[k].tolist()) == best
        first = int(s[k].argmax())
        second = int(o[k, first].argmax())
        assert turn[k].tolist() == [first, second, int(p[k, first, second].argmax())]


def test_a_count_prior_by_hand():
    triple = torch.tensor([[0, 1, 2], [0, 1, 2], [0, 3, 1], [4, 1, 2], [5, 5, 0]])
    prior = brain.count_prior(brain.count(triple), 10.0)
    total = 5 + brain.CONCEPTS
    assert float(prior.object[0, 1]) == pytest.approx((2 + 10 * 4 / total) / 13)
    assert float(prior.object[4, 3]) == pytest.approx((0 + 10 * 2 / total) / 11)
    base = np.array([2, 2, 4, 1, 1, 1, 1, 1]) / 13
    by_subject, by_object = (np.array([0, 1, 2, 0, 0, 0, 0, 0]) + base) / 4, (np.array([0, 0, 3, 0, 0, 0, 0, 0]) + base) / 4
    back = by_subject * by_object / base
    np.testing.assert_allclose(prior.predicate[0, 2], by_subject / by_subject.sum(), rtol=1e-9)  # an object that was never met
    np.testing.assert_allclose(prior.predicate[0, 1], (np.array([0, 0, 2, 0, 0, 0, 0, 0]) + 10 * back / back.sum()) / 12, rtol=1e-9)


def test_weights_are_chosen_a_level_and_smaller_ones_where_several_are_best():
    s, o, p = scores(1)
    given = brain.Beliefs(s, lambda weight: o * weight, lambda weight: p * weight)
    scenes = [brain.Scenes(torch.zeros(30), brain.most_probable(s, o * a, p * b)) for a, b in ((1.0, 0.3), (0.0, 2.0))]
    (choice,) = brain.choose([lambda x: given], scenes, (0.0, 0.3, 1.0, 2.0), (brain.most_probable,))
    assert choice.accuracy == 1
    assert choice.weights == [(1.0, 0.3), (0.0, 2.0)]
    assert brain.judge(choice, scenes, brain.most_probable) == [1, 1]
    (alike,) = brain.choose([lambda x: given._replace(object=lambda weight: o)], scenes[:1], (0.3, 1.0), (brain.most_probable,))
    assert alike.weights == [(0.3, 0.3)]


def test_arms_differ_as_declared():
    found = {name: study.compute(arm(name), SMOKE, [Seed(1001)])[0] for name in study.arms}
    assert len({one["parameters"] for one in found.values()}) == 1
    assert found["ideal"]["accuracy"] > found["independent"]["accuracy"]
    assert found["counts"]["accuracy"] > found["independent"]["accuracy"]
    assert found["loop"]["feedback_nats"] > 0
    assert found["independent"]["feedback_nats"] == found["independent"]["object_weight"] == 0
    assert found["permuted"]["accuracy"] < found["loop"]["accuracy"]
    assert found["permuted"]["validation_accuracy"] == found["loop"]["validation_accuracy"]
    assert found["ideal"]["prior_bits"] > 1
    assert found["counts"]["unseen_bits"] < -1
    table = Table([1001], {name: [one] for name, one in found.items()})
    for _, draw in study.figures.values():
        draw(table)


def test_feedback_reaches_the_object_and_a_permutation_leaves_no_unit_in_place():
    order = brain._deranged(torch.Generator().manual_seed(0))
    assert order.sort().values.tolist() == list(range(brain.CONCEPTS))
    assert (order != torch.arange(brain.CONCEPTS)).all()
    reader = brain.Reader(64, 16, 8, torch.Generator().manual_seed(0)).requires_grad_(False)
    x = torch.randn(4, 3, 64, generator=torch.Generator().manual_seed(1))
    plain, fed, other = (
        reading(x) for reading in (brain.by_feedback(reader), brain.by_feedback(reader), brain.by_feedback(reader, order=order))
    )
    assert torch.equal(other.object(1.0), fed.object(1.0)[:, order])
    assert torch.equal(other.predicate(1.0), fed.predicate(1.0)[:, order][:, :, order])
    alone = plain.object(0.0)
    assert torch.equal(alone, alone[:, :1].expand_as(alone))
    base = brain.count_prior(torch.ones(brain.CONCEPTS, brain.CONCEPTS, brain.PREDICATES, dtype=torch.double), 1.0)
    torch.testing.assert_close(brain.by_prior(reader, base)(x).object(5.0), alone)
