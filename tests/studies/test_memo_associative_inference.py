import math

import numpy as np
import pytest
import torch

from neuropil.atlas import Curve, Seed, Settings, Table
from neuropil.networks import Hops
from neuropil.networks.adaptive_halting import Halting
from neuropil.studies.memory import memo_associative_inference as memo
from neuropil.studies.memory.memo_associative_inference import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve)}


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found = numbers(outcomes[name])
    assert set(found) == set(study.metrics)
    assert all(math.isfinite(value) for value in found.values())


def test_off_is_the_fixed_net_and_strength_1_is_not(outcomes):
    for name, value in numbers(outcomes["off"]).items():
        assert value == pytest.approx(outcomes["fixed"][name], abs=1e-6)
    learned = [
        memo.learnt(tuple(one.items()), tuple(SMOKE.items()), (SEED,)).tensors[0]["carry"] for one in (arm("off"), arm("off", strength=1.0))
    ]
    assert not torch.equal(*learned)


def test_fixed_nets_take_their_hops_and_no_others(outcomes):
    for name in ("fixed", "matched", "one_hop", "supervised", "off"):
        assert outcomes[name]["mean_hops"] == study.arms[name]["hops"]
        assert outcomes[name]["hops_spread"] == 0


def test_sizes_are_equal_where_they_are_said_to_be():
    desk = Settings("desk", study.budgets["desk"])
    size = {name: memo.acting(arm(name), memo.network(arm(name), desk, SEED)) for name in study.arms}
    assert size["fixed"] == size["matched"] == size["one_hop"] == size["supervised"] == size["off"]
    for hops in (1, 4, 6):
        assert memo.acting(arm("adaptive"), memo.network(arm("adaptive", hops=hops), desk, SEED)) == pytest.approx(size["fixed"], rel=0.05)


def told(at, right):
    """A net's answers that halts at ``at`` and is right after each hop as told, [items, hops]."""
    hops = right.shape[1]
    stop = (torch.arange(hops) == at.unsqueeze(1)).float() * 0.98 + 0.01
    scores = torch.where(right.unsqueeze(2), torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0]))
    return Hops(scores, torch.full((len(at), hops, memo.HEADS, 6), 1 / 6), Halting(stop.log(), (1 - stop).log(), torch.zeros_like(stop)))


class Told(torch.nn.Module):
    def __init__(self, hops):
        super().__init__()
        self.told, self.hops = hops, hops.scores.shape[1]

    def forward(self, *_):
        return self.told


def questions():
    given = memo.task(Settings("some", {"chains": 2, "code": 8, "noise": 0.0})).draw(300, torch.Generator().manual_seed(1))
    return given._replace(target=torch.zeros_like(given.target))


def test_measures_are_of_the_hop_that_halts_and_the_lesion_moves_it_to_other_questions():
    given = questions()
    at = given.distance - 1
    right = torch.arange(3) == at.unsqueeze(1)
    found = memo.measure(arm("adaptive"), Told(told(at, right)), given, torch.Generator())
    assert (found["direct"], found["middle"], found["far"]) == (1, 1, 1)
    assert found["hops_slope"] == pytest.approx(1)
    assert found["mean_hops"] == pytest.approx(2)
    assert found["hops_spread"] == pytest.approx(np.std(given.distance.numpy(), ddof=1))
    cut = memo.measure(arm("permuted"), Told(told(at, right)), given, torch.Generator().manual_seed(2))
    assert cut["far"] == pytest.approx(1 / 3, abs=0.15)
    assert cut["hops_spread"] == pytest.approx(found["hops_spread"])
    assert abs(cut["hops_slope"]) < 0.2


def test_attention_is_taught_only_while_it_is_told_and_only_on_hops_that_lead_on():
    given, loss = questions(), memo.loss_of(arm("fixed"))
    hops = told(given.distance - 1, torch.ones(300, 3, dtype=torch.bool))
    taught, alone = (loss(hops, memo.told(given, torch.zeros(300, 3), told_it)) for told_it in (True, False))
    assert float(taught - alone) == pytest.approx(math.log(6), rel=1e-4)
    moved = hops.weights.clone()
    moved[given.distance == 1, 1:] = 0.5
    assert torch.equal(loss(hops._replace(weights=moved), memo.told(given, torch.zeros(300, 3), True)), taught)


def test_seeds_side_by_side_are_what_they_are_alone(outcomes):
    both = study.compute(arm("adaptive"), SMOKE, [Seed(1003), SEED])[1]
    for name, value in numbers(both).items():
        assert value == pytest.approx(outcomes["adaptive"][name], abs=1e-4)


def test_one_hop_learns_direct_questions():
    some = Settings("some", {**study.budgets["desk"], "chains": 3, "steps": 250, "tested": 900})
    found = study.compute(arm("one_hop"), some, [SEED])[0]
    assert found["direct"] > 0.8
    assert found["far"] < 0.6


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("adaptive", "fixed")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
