import math

import pytest
import torch

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.data import SceneQuestions
from neuropil.networks import SlotMemoryTransformer
from neuropil.studies.memory import pmi_memory as pmi
from neuropil.studies.memory.pmi_memory import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)
STORES = ("outer", "constant", "released", "frozen", "mean_store", "off")


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found = numbers(outcomes[name])
    assert set(found) == set(study.metrics) - (set() if name in STORES else {"written", "between_share", "branch"})
    assert all(math.isfinite(value) for value in found.values())


def test_off_is_the_constant_and_nothing_is_merged_into_one(outcomes):
    for name, value in numbers(outcomes["off"]).items():
        assert value == pytest.approx(outcomes["constant"][name], abs=1e-5)
    for name in ("constant", "frozen", "off"):
        assert outcomes[name]["written"] == pytest.approx(0, abs=1e-6)
        assert outcomes[name]["between_share"] == pytest.approx(0, abs=1e-6)
    assert outcomes["outer"]["written"] > 0.05
    assert outcomes["outer"]["between_share"] > 0.01


def test_the_released_rule_hardly_writes_in_a_net_that_has_hardly_learned():
    net = pmi.network(arm("released"), SMOKE, SEED)
    assert pmi.measure(arm("released"), net, pmi.drawn(SMOKE, SEED))["written"] < 1e-5


def test_sizes_are_equal_where_they_are_said_to_be():
    desk = Settings("desk", study.budgets["desk"])
    size = {
        name: sum(part.numel() for part in pmi.network(arm(name), desk, SEED).parameters() if part.requires_grad) for name in study.arms
    }
    assert len({size[name] for name in ("outer", "constant", "mean_store", "off")}) == 1
    assert size["released"] == size["frozen"] == size["outer"] - 5 * 8 * 32
    assert size["transformer"] == pytest.approx(size["outer"], rel=0.05)


def test_the_lesion_shows_every_scene_the_same_store_and_changes_nothing_else():
    given, net = pmi.drawn(SMOKE, SEED), pmi.network(arm("outer"), SMOKE, SEED)
    whole, cut = (pmi.measure(arm(name), net, given) for name in ("outer", "mean_store"))
    assert whole["relational_loss"] != cut["relational_loss"]
    assert cut["between_share"] < 1e-9 < 0.001 < whole["between_share"]
    assert whole["written"] == cut["written"]


def test_fixed_answers_get_the_commonest_of_each_kind():
    kind, target = torch.tensor([3, 3, 3, 4, 4, 5]), torch.tensor([5, 5, 6, 0, 1, 9])
    assert pmi.commonest(SceneQuestions(torch.zeros(6, 1, 1), target, kind)) == pytest.approx(4 / 6)


def test_branch_is_a_ratio_of_lengths_at_the_last_token():
    direct, corrected = torch.zeros(2, 3, 4), torch.zeros(2, 1, 4)
    direct[:, -1, 0], corrected[:, -1, 1] = 2.0, torch.tensor([1.0, 3.0])
    assert float(pmi.branch(direct, corrected)) == pytest.approx(0.3 / 0.7 * (0.5 + 1.5) / 2)


def test_parts_of_the_data_hold_the_questions_they_are_for():
    given = pmi.drawn(SMOKE, SEED)
    assert (given.related.kind > 2).all()
    assert (given.validation.kind > 2).all()
    assert (given.single.kind < 3).all()
    assert set(given.train.kind.tolist()) == set(range(6))
    assert len(given.related.x) == SMOKE.test_items
    assert not torch.equal(given.train.x, pmi.drawn(SMOKE, Seed(1001)).train.x[: len(given.train.x)])


def test_seeds_side_by_side_are_what_they_are_alone(outcomes):
    both = study.compute(arm("outer"), SMOKE, [Seed(1003), SEED])[1]
    for name, value in numbers(both).items():
        assert value == pytest.approx(outcomes["outer"][name], abs=1e-4)


def test_a_plain_transformer_learns_questions_of_one_object():
    few = Settings("some", {**SMOKE, "width": 32, "pool": 2000, "steps": 400, "batch": 64})
    found = study.compute(arm("transformer"), few, [SEED])[0]
    assert found["non_relational"] > 0.75


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("outer", "constant")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)


def test_networks_are_of_one_seed():
    a, b = (pmi.network(arm("outer"), SMOKE, SEED) for _ in range(2))
    assert isinstance(a, SlotMemoryTransformer)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
