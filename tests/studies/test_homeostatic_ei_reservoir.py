import numpy as np
import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.studies.plasticity import homeostatic_ei_reservoir as ei
from neuropil.studies.plasticity.homeostatic_ei_reservoir import study

SMOKE = Settings("smoke", study.budgets["smoke"])
ALONE = Settings("alone", {**SMOKE, "networks": 1, "swept": 0})
SETTLED = Settings("settled", {**ALONE, "settling": 2000, "fitted": 400})


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def test_arms_share_connections_input_and_noise():
    nets = [ei.network(ei.settings(arm(name)), SMOKE, Seed(1000).torch("init")) for name in ("local", "shared", "bias")]
    first = nets[0].network.synapse
    for net in nets[1:]:
        assert (net.network.synapse.connected == first.connected).all()
        torch.testing.assert_close(net.network.synapse.weight, first.weight)
        assert (net.drive.weight == nets[0].drive.weight).all()
    wide = ei.network(ei.settings(arm("local", input_scale=0.2)), SMOKE, Seed(1000).torch("init"))
    torch.testing.assert_close(wide.drive.weight, 2 * nets[0].drive.weight)
    given, again = ei.signal(SMOKE, Seed(1000)), ei.signal(SMOKE, Seed(1000))
    assert all((a == b).all() for a, b in zip(given, again, strict=True))
    assert given.settling.abs().max() <= 1
    assert len(given.reading) == 330


def test_levels_set_inhibition_or_target():
    assert ei.settings(arm("shared", level=0)).inhibition == 0.4
    assert ei.settings(arm("local", level=0)).target == 0.1
    assert ei.settings(arm("local", level=0)).inhibition == 1
    assert ei.settings(arm("tanh", level=6)).inhibition == 1


def test_targets_of_one_mean_the_same_or_spread():
    budget = Settings("many", {**SMOKE, "cells": 4000})
    same, spread = (ei.targets(ei.settings(arm(name, level=1)), budget, Seed(1001).numpy("targets")) for name in ("local", "heterogeneous"))
    assert same.unique().tolist() == pytest.approx([0.2])
    assert spread.mean().item() == pytest.approx(0.2, abs=0.01)
    assert spread.var().item() == pytest.approx(0.2 * 0.8 / 11, rel=0.1)


@pytest.mark.parametrize("name", ["local", "bias"])
def test_what_settles_brings_cells_to_their_target(name):
    (found,) = study.compute(arm(name, gain=6.0, level=1), Settings("long", {**SETTLED, "settling": 4000}), [Seed(1002)])
    assert found["target_margin"] >= 0.01
    assert (found["inhibition_change"] > 0.1) == (name == "local")


def test_lesion_and_matched_total_keep_the_total():
    found = {name: study.compute(arm(name), SETTLED, [Seed(1003)])[0] for name in ("local", "permuted", "matched_total", "shared")}
    for name in ("permuted", "matched_total"):
        assert found[name]["total_inhibition"] == pytest.approx(found["local"]["total_inhibition"], rel=1e-5)
        assert found[name]["inhibition_change"] == found["local"]["inhibition_change"]
        assert found[name]["memory_capacity"] != found["local"]["memory_capacity"]
    assert found["shared"]["total_inhibition"] == pytest.approx(0.55, rel=1e-5)
    assert study.compute(arm("dominated"), SMOKE, [Seed(1003)])[0]["total_inhibition"] == pytest.approx(0.275, rel=1e-5)


def test_only_networks_that_hold_their_targets_count_in_the_tuning_of_local():
    long = Settings("long", {**SETTLED, "settling": 4000})
    far, near = (study.compute(arm("local", gain=6.0, level=1), budget, [Seed(1002)])[0] for budget in (ALONE, long))
    assert far["target_margin"] < 0 <= near["target_margin"]
    assert far["validation_capacity"] == 0 < near["validation_capacity"]
    free = study.compute(arm("free", gain=6.0, level=1), ALONE, [Seed(1002)])[0]
    assert free["validation_capacity"] > 0
    assert free["memory_capacity"] == far["memory_capacity"]


def test_the_penalty_is_chosen_before_the_test():
    x = torch.rand(300, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    states = torch.rand(300, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    one = ei.read(x, states, SMOKE)[0]
    states[200:] = 0.5 * states[200:].flip(0)
    assert ei.read(x, states, SMOKE)[0] == one


def test_a_seed_is_the_mean_of_its_networks_and_the_first_is_swept():
    budget = Settings("both", {**SMOKE, "networks": 2, "swept": 1})
    (found,) = study.compute(arm("shared", level=1), budget, [Seed(1004)])
    alone = [study.compute(arm("shared", level=level), ALONE, [Seed(1004)])[0]["memory_capacity"] for level in range(7)]
    assert found["by_level"].y == alone
    assert found["capacity_over_levels"] == pytest.approx(np.mean(alone))
    assert found["memory_capacity"] != alone[1]
    given, draws = ei.signal(SMOKE, Seed(1004)), Seed(1004).torch("init")
    own = ei.settings(arm("shared", level=1))
    each = [ei.measure(own, SMOKE, ei.network(own, SMOKE, draws), given, torch.zeros(40), draws)["memory_capacity"] for _ in range(2)]
    assert found["memory_capacity"] == pytest.approx(np.mean(each))
    assert each[0] == alone[1]


def test_off_is_the_shared_number_and_the_seed_decides_everything():
    off, shared = (study.compute(arm(name), SMOKE, [Seed(1005)])[0] for name in ("off", "shared"))
    for name, value in shared.items():
        if isinstance(value, float):
            assert value == pytest.approx(off[name], rel=1e-6)
    one, two = study.compute(arm("local"), SMOKE, [Seed(1005), Seed(1006)])
    assert one == study.compute(arm("local"), SMOKE, [Seed(1005)])[0]
    assert one["memory_capacity"] != two["memory_capacity"]


def test_figures_draw_from_stored_results():
    table = Table([1007], {name: study.compute(arm(name), SMOKE, [Seed(1007)]) for name in ("local", "shared", "tanh", "permuted")})
    for _, draw in study.figures.values():
        draw(table)
    assert len(table.curves("local", "by_level")[0].x) == 7
