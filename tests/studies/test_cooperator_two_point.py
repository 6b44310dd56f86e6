import math

import numpy as np
import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.cells import cooperation
from neuropil.studies.cells import cooperator_two_point as cooperator
from neuropil.studies.cells.cooperator_two_point import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEEDS = [Seed(1000), Seed(1001)]


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def compute(name, seeds=SEEDS, **changed):
    return study.compute(arm(name, **changed), SMOKE, seeds)


def test_from_addition_to_cooperation():
    r, c = torch.meshgrid(torch.linspace(-3, 3, 25), torch.linspace(-3, 3, 25), indexing="ij")
    torch.testing.assert_close(cooperator.departure(r, c, 1.0), cooperation(r, c))
    assert torch.equal(cooperator.departure(r, c, 0.0), cooperator.added(r, c))
    assert float(cooperator.added(torch.tensor(1.0), torch.tensor(-0.5))) == 1.5
    assert float(cooperator.added(torch.tensor(1.0), torch.tensor(-2.5))) == 0


def test_poles_begin_at_all_angles_and_members_of_a_seed_meet_the_same():
    first = cooperator.begin(4000, Seed(1000).torch("x"))
    assert float((first.theta.cos() > 0).float().mean()) == pytest.approx(0.5, abs=0.03)
    assert float(first.x.abs().max()) <= 1 < float(first.theta_dot.abs().max()) <= 2
    both = cooperator.members_of([cooperator.begin(2, seed.torch("x")) for seed in SEEDS], 3)
    assert both.x.shape == (6, 2)
    assert torch.equal(both.theta[0], both.theta[2])
    assert not torch.equal(both.theta[0], both.theta[3])


def test_a_policy_that_balances_earns_what_the_world_pays():
    made = cooperator.LinearPolicies(2)
    made.load(torch.tensor([[0.0] * 6, [0.5, 1.0, 0.0, -10.0, -2.5, 0.0]]))
    upright = cooperator.CartPoleState(*(torch.full((2, 1), v) for v in (0.0, 0.0, 0.0, 0.0)))
    torch.testing.assert_close(cooperator.returns(made, upright, 5), torch.ones(2, 1))
    tilted = cooperator.CartPoleState(*(torch.full((2, 1), v) for v in (0.0, 0.0, 0.2, 0.0)))
    fell, balanced = cooperator.returns(made, tilted, 100)[:, 0].tolist()
    assert fell < 0.75 < 0.9 < balanced
    level = cooperator.CartPoleState(*(torch.full((1, 1), v) for v in (0.0, 0.0, math.pi, 0.0)))
    assert float(cooperator.returns(cooperator.LinearPolicies(1), level, 5)) == pytest.approx(0, abs=1e-6)


def test_the_search_climbs():
    budget = Settings("short", {**SMOKE, "pairs": 16, "episodes": 2, "generations": 20, "every": 20, "actions": 100, "test": 64})
    found = study.compute(arm("linear"), budget, [Seed(1000)])[0]
    assert found["final_return"] > found["untrained_return"] + 0.05


def test_seeds_computed_together_are_those_computed_alone():
    together = compute("cooperator")
    for one, seed in zip(together, SEEDS, strict=True):
        cooperator.searched.cache_clear()
        alone = compute("cooperator", [seed])[0]
        for name, value in one.items():
            if isinstance(value, float):
                assert alone[name] == pytest.approx(value, abs=1e-5), name


def test_off_is_the_control_and_parameters_match():
    found = {name: compute(name) for name in study.arms}
    for off, control in zip(found["off"], found["additive"], strict=True):
        for name, value in control.items():
            if isinstance(value, float):
                assert value == pytest.approx(off[name], abs=1e-6)
    assert found["cooperator"][0]["parameters"] == found["additive"][0]["parameters"] == 966
    assert found["attention"][0]["parameters"] == 961
    assert found["additive"][0]["beyond_additive"] == 0
    for contrast in study.contrasts:
        for side in (contrast.a, contrast.b):
            assert contrast.on in found[side][0]
            assert all(match.metric in found[side][0] for match in contrast.matches)


def test_the_lesion_gives_each_sensor_its_neighbours_context():
    budget = Settings("long", {**SMOKE, "generations": 8, "every": 8, "pairs": 8, "actions": 40})
    whole, lesioned = (study.compute(arm(name), budget, SEEDS) for name in ("cooperator", "shuffled"))
    assert cooperator.searched.cache_info().hits >= 1
    assert whole[0]["final_return"] != lesioned[0]["final_return"]


def test_watched_keys_are_those_sent():
    made = cooperator.policies(arm("cooperator"), 1)
    made.load(torch.randn(made.vectors.shape, generator=torch.Generator().manual_seed(0)))
    first = cooperator.members_of([cooperator.begin(3, Seed(1000).torch("x"))], 1)
    with torch.no_grad():
        found = cooperator.watch(made, first, 2)
    r, c, sent = np.asarray(found["keys"].values)
    np.testing.assert_allclose(np.clip(r**2 + 2 * r + c * (1 + abs(r)), 0, 6), sent, atol=0.02)
    assert found["below"].y == sorted(found["below"].y)
    assert 0 < found["modulated"] < 1


def test_figures_draw_from_stored_results():
    table = Table([1000], {name: compute(name, [Seed(1000)]) for name in study.arms if name != "off"})
    for _, draw in study.figures.values():
        draw(table)
