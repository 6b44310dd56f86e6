import math

import pytest
import torch

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.data import ContextRecall
from neuropil.memory import NeuralMemory
from neuropil.networks import Remembered
from neuropil.studies.memory import titans_neural_memory as titans
from neuropil.studies.memory.titans_neural_memory import study

SMOKE = Settings("smoke", study.budgets["smoke"])
DESK = Settings("desk", study.budgets["desk"])
SEED = Seed(1000)
USE = {"gate", "moved", "momentum", "forgotten", "state"}


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found = numbers(outcomes[name])
    without = name in ("window_only", "full_attention", "off")
    assert set(found) == set(study.metrics) - (USE if without else set())
    assert all(math.isfinite(value) for value in found.values())


def test_deep_and_matrix_have_equal_numbers_at_every_size():
    for budget in study.budgets.values():
        size = Settings("size", budget)
        deep, matrix = (titans.network(arm(name), size, SEED) for name in ("deep", "matrix"))
        assert deep.memory.floats == matrix.memory.floats == size.size**2
        assert len(deep.memory.start) == 2
        assert len(matrix.memory.start) == 1
        mine, its = (dict(net.named_parameters()) for net in (deep, matrix))
        assert sum(one.numel() for one in mine.values()) == sum(one.numel() for one in its.values())
        assert all(torch.equal(mine[name], its[name]) for name in its if not name.startswith("memory."))
        assert (deep.memory.chunk, deep.window, deep.highest) == (matrix.memory.chunk, matrix.window, matrix.highest)


def test_arms_differ_as_declared(outcomes):
    assert outcomes["no_momentum"]["momentum"] == 0 < outcomes["deep"]["momentum"]
    assert outcomes["unwritten"]["loss"] == outcomes["deep"]["loss"]
    assert outcomes["deep"]["loss"] != outcomes["matrix"]["loss"]
    assert outcomes["unwritten"]["theta"].y == [0.0] * titans.task(SMOKE).steps
    assert numbers(outcomes["off"]) == numbers(outcomes["window_only"])
    assert titans.network(arm("full_attention"), DESK, SEED).window is None
    assert not titans.network(arm("window_only"), DESK, SEED).remembers


def test_a_seed_learns_the_same_alone_and_in_company(outcomes):
    together = study.compute(arm("deep"), SMOKE, [Seed(1001), SEED])[1]
    for name in ("accuracy", "validation_accuracy", "gate", "moved", "momentum"):
        assert together[name] == pytest.approx(outcomes["deep"][name], abs=1e-5)


def test_questions_lie_two_to_eight_windows_from_their_pairs():
    of = titans.task(DESK)
    given = of.draw(200, torch.Generator().manual_seed(0))
    found = titans.distances(of, given)
    assert 2 * DESK.window < int(found.min()) < 3 * DESK.window
    assert 7 * DESK.window < int(found.max()) < 8 * DESK.window
    for item in range(20):
        for question in range(of.asked):
            moment = of.steps - of.asked + question
            pair = moment - int(found[item, question])
            key = given.x[item, moment, : of.keys].argmax()
            assert given.x[item, pair, key] == 1
            assert given.x[item, pair, of.keys : of.keys + of.values].argmax() == given.target[item, question]


def test_recall_is_counted_by_distance():
    correct = torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    curve = titans.by_distance(correct, torch.tensor([[17, 18, 25, 63]]), 8)
    assert (list(curve.x), list(curve.y)) == ([2, 3, 7], [0.5, 1.0, 1.0])


def test_answers_are_judged_at_the_last_moments():
    target = torch.tensor([[2, 0]])
    y = torch.zeros(1, 5, 3)
    y[0, 3, 2] = y[0, 4, 1] = 50.0
    given = titans.Recall(torch.zeros(1, 5, 1), target, torch.ones(1, 2))
    assert titans.right(y, given).tolist() == [[1.0, 0.0]]
    assert titans.loss(y, target).item() == pytest.approx(25.0)


def test_what_the_memory_did_is_measured():
    of = ContextRecall(keys=2, values=2, pairs=1, asked=1, gap=1, contexts=2)
    theta = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    eta = torch.tensor([[0.9, 0.9, 0.5, 0.1]])
    alpha = torch.tensor([[0.9, 0.9, 0.5, 0.2]])
    mix = torch.tensor([[0.0, 0.0, 0.0, 0.7]])
    began = NeuralMemory.State((torch.full((1, 2, 2), 2.0),), (torch.zeros(1, 2, 2),))
    ended = NeuralMemory.State((torch.full((1, 2, 2), 5.0),), (torch.zeros(1, 2, 2),))
    found = titans.use(of, Remembered(theta, eta, alpha, mix, began, ended))
    assert found["momentum"] == pytest.approx((0.5 + 0.1) / 2)
    assert found["moved"] == pytest.approx(1.5)
    assert found["forgotten"] == pytest.approx(1 - 0.5 * 0.8)
    assert found["gate"] == pytest.approx(0.7)


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("deep", "matrix")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
