import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.atlas import Seed, Settings, Table
from neuropil.memory import ConsolidatedHebb, Hopfield, WillshawMemory
from neuropil.studies.memory import hebbian_assoc_memory_noise as noise
from neuropil.studies.memory.hebbian_assoc_memory_noise import study

SMALL = Settings("small", {**study.budgets["smoke"], "patterns": 15})


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def written(memory, fired):
    s = memory.initial()
    for x in fired:
        s = memory.write(s, x, x)
    return s


def test_arms_see_the_same_presentations_and_the_cap_only_silences():
    seen = {name: noise.world(arm(name), SMALL, 15, Seed(1000)) for name in ("consolidated", "covariance", "no_cap", "recurrent", "ideal")}
    assert torch.equal(seen["consolidated"].fired, seen["covariance"].fired)
    for name in ("consolidated", "recurrent"):
        assert bool((seen[name].fired <= seen["no_cap"].fired).all())
        assert_close(seen[name].fired.sum(1), seen["no_cap"].fired.sum(1).clamp(max=4))
        assert torch.equal(seen[name].patterns, seen["ideal"].patterns)
    assert torch.equal(seen["ideal"].fired, seen["ideal"].patterns)
    assert not torch.equal(seen["consolidated"].fired, seen["recurrent"].fired)
    assert seen["no_cap"].capped == float((seen["no_cap"].fired.sum(1) > 4).float().mean())


def test_noise_erases_and_inserts_as_often_as_it_says_and_every_pattern_is_shown_in_each_round():
    budget = Settings("big", {**study.budgets["smoke"], "cells": 400, "active": 20, "presentations": 20, "erased": 0.3, "inserted": 0.01})
    seen = noise.world(arm("no_cap"), budget, 30, Seed(1001))
    rounds = seen.fired.unflatten(0, (20, 30))
    assert rounds.shape == (20, 30, 400)
    likely = (rounds @ seen.patterns.T).argmax(-1)
    assert all(sorted(row) == list(range(30)) for row in likely.tolist())
    of = seen.patterns[likely]
    assert (rounds * of).sum().item() / of.sum().item() == pytest.approx(0.7, abs=4 * math.sqrt(0.21 / of.sum().item()))
    assert (rounds * (1 - of)).mean().item() == pytest.approx(0.01 * 0.95, rel=0.05)


def test_the_best_supported_of_the_active_cells_fire():
    """One pattern of 4 of 12 cells shown until it is consolidated, then with four cells of noise: the pattern fires alone."""
    pattern = torch.zeros(12).index_fill(0, torch.arange(4), 1.0)
    x = torch.stack([*[pattern] * 3, *[torch.cat((pattern[:8], torch.ones(4)))] * 20])
    fired = noise.supported(x, torch.rand(x.shape, generator=torch.Generator().manual_seed(0)), arm("recurrent", level=3), 4)
    assert_close(fired[3:], pattern.expand(20, -1))
    never = noise.supported(x, torch.rand(x.shape, generator=torch.Generator().manual_seed(0)), arm("recurrent", level=99), 4)
    assert (never[3:] != pattern).any()


def test_synapses_are_those_of_the_librarys_memories():
    for name, memory in (
        ("consolidated", ConsolidatedHebb(64, winners=4, consolidation=3)),
        ("off", ConsolidatedHebb(64, winners=4, consolidation=1)),
        ("covariance", Hopfield(64, activity=4 / 64, winners=4)),
        ("one_shot", WillshawMemory(64, 64)),
    ):
        seen = noise.world(arm(name), SMALL, 15, Seed(1002))
        w, _ = noise.synapses(arm(name), SMALL, seen, Seed(1002))
        assert_close(w, written(memory, seen.fired).w * (1 - torch.eye(64)), atol=1e-4, rtol=0)
        assert w.abs().sum() > 0


@pytest.mark.parametrize("name", ["consolidated", "covariance"])
def test_recall_is_that_of_the_librarys_memories(name):
    here = arm(name, inertia=1.0)
    seen = noise.world(here, SMALL, 15, Seed(1003))
    w, unit = noise.synapses(here, SMALL, seen, Seed(1003))
    cues = noise.erased_cues(seen.patterns, Seed(1003).torch("cues"))
    own = name == "consolidated"
    memory = ConsolidatedHebb(64, winners=4, steps=10) if own else Hopfield(64, activity=4 / 64, winners=4, inertia=unit, steps=10)
    state = memory.State(w, w) if own else memory.State(w)
    missed = [float(((1 - memory.recall(state, cue)[0]) * pattern).sum()) for cue, pattern in zip(cues, seen.patterns, strict=True)]
    assert noise.recall_error(w, here, SMALL, seen.patterns, cues, unit) == pytest.approx(np.mean(missed) / 4)


def test_cues_lose_a_third_and_gain_nothing():
    patterns = noise.sparse_patterns(50, 100, 9, torch.Generator().manual_seed(0))
    cues = noise.erased_cues(patterns, torch.Generator().manual_seed(1))
    assert (cues.sum(1) == 6).all()
    assert bool((cues <= patterns).all())


def test_the_lesion_deals_synapses_out_among_pairs_that_met():
    seen = noise.world(arm("consolidated"), SMALL, 15, Seed(1004))
    (w, _), (dealt, _) = (noise.synapses(arm(name), SMALL, seen, Seed(1004)) for name in ("consolidated", "shuffled"))
    assert w.sum() == dealt.sum()
    assert_close(dealt, dealt.T)
    assert bool((noise.counted(seen.fired)[dealt > 0] > 0).all())
    assert not torch.equal(w, dealt)


def test_every_arm_runs_off_is_the_clipped_matrix_and_figures_draw():
    budget = Settings("smoke", study.budgets["smoke"])
    outcomes = {name: study.compute(arm(name), budget, [Seed(1000)]) for name in study.arms}
    off, once = outcomes["off"][0], outcomes["one_shot"][0]
    assert off["error"] == once["error"]
    for name, (outcome,) in outcomes.items():
        assert 0 <= outcome["error"] <= 1, name
        assert set(study.metrics) - set(outcome) <= {"error_fewer", "error_more"}
    assert outcomes["ideal"][0]["likeness"] == 1
    assert outcomes["none"][0]["error"] > 0.2
    table = Table([1000], outcomes)
    for _, draw in study.figures.values():
        assert draw(table).axes


def test_a_search_runs_one_load():
    budget = Settings("smoke", {**study.budgets["smoke"], **study.tune.budget})
    assert "by_load" not in study.compute(arm("covariance"), budget, [Seed(1000)])[0]
