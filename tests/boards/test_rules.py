"""The board of learning rules: every rule learns, looks at as many pictures, and is the rule it is called."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from neuropil.atlas import AtlasError, Seed, Settings
from neuropil.boards.rules import _returns, board, by_evolution, by_gradient, pictures
from neuropil.networks import MLP

DIGITS = board.on("digits")


def run(name: str, budget: str = "smoke", rate: float = 0.016, **changed):
    arm = Settings(name, {**DIGITS.arms[name], "rate": rate})
    return DIGITS.compute(arm, Settings(budget, {**DIGITS.budgets[budget], **changed}), [Seed(1000)])[0]


@pytest.mark.parametrize("name", list(DIGITS.arms))
def test_every_rule_learns_from_as_many_presentations(name):
    found = run(name, "board", presentations=40_000)
    assert set(found) == {"accuracy", *board.costs}
    assert found["accuracy"] > 0.25
    assert found["presentations"] == 40_000
    assert found["parameters"] == pytest.approx(4810, rel=0.01)
    again = run(name, "board", presentations=40_000)
    assert {k: v for k, v in found.items() if k != "step"} == {k: v for k, v in again.items() if k != "step"}


def test_updates_are_what_a_rule_needs_presentations_for():
    wanted = {"Backprop": 80, "LastLayer": 80, "ForwardForward": 40, "GoodnessBackprop": 40, "DisinhibitoryLearning": 80, "Evolution": 2}
    assert {name: run(name)["updates"] for name in DIGITS.arms} == wanted


def test_the_last_layer_alone_moves():
    budget = Settings("smoke", DIGITS.budgets["smoke"])
    found = pictures("digits", budget, Seed(1))
    start = MLP(budget.mlp, generator=Seed(1).torch("init"))
    models = {}
    for rule in ("last", "backprop"):
        learned = by_gradient(Settings(rule, {"rule": rule, "rate": 0.01}), budget, found, Seed(1))
        (cell,) = [cell.cell_contents for cell in learned.answer.__closure__ if isinstance(cell.cell_contents, MLP)]
        models[rule] = cell
    assert torch.equal(models["last"].layers.linear1.weight, start.layers.linear1.weight)
    assert not torch.equal(models["last"].layers.linear2.weight, start.layers.linear2.weight)
    assert not torch.equal(models["backprop"].layers.linear1.weight, start.layers.linear1.weight)


def test_returns_of_members_are_those_of_their_networks():
    model = MLP((5, 4, 3), generator=torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(3)
    members = torch.randn(6, len(parameters_to_vector(model.parameters())), generator=generator)
    x, y = torch.rand(7, 5, generator=generator), torch.randint(3, (7,), generator=generator)
    found = _returns(members, (5, 4, 3), x, y)
    for row, value in zip(members, found, strict=True):
        vector_to_parameters(row, model.parameters())
        assert value == pytest.approx(-cross_entropy(model(x), y).item(), rel=1e-5)


def test_evolution_hears_returns_alone():
    """With a rate of almost nothing the network stays where it began."""
    budget = Settings("smoke", DIGITS.budgets["smoke"])
    found = pictures("digits", budget, Seed(1))
    still = by_evolution(Settings("e", {"rule": "evolution", "rate": 0.0}), budget, found, Seed(1))
    start = MLP(budget.mlp, generator=Seed(1).torch("init"))
    assert torch.equal(still.answer(found.test_x), start(found.test_x).argmax(1))


def test_a_search_does_not_see_the_test():
    budget = DIGITS.budgets["board"]
    learned, searched = (pictures("digits", Settings("b", b), Seed(4)) for b in (budget, {**budget, "validate": True}))

    def rows(x):
        return {row.tobytes() for row in np.ascontiguousarray(x.numpy())}

    assert (len(learned.x), len(learned.test_x)) == (1397, 400)
    assert rows(searched.x) | rows(searched.test_x) == rows(learned.x)


def test_an_unknown_rule_is_refused_with_the_nearest():
    with pytest.raises(AtlasError, match=r"board rules has no entry 'Backprob'; did you mean 'Backprop'\?"):
        board.find(["Backprob"])
