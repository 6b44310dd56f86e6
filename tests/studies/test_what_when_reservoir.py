import math

import numpy as np
import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.learning import RecursiveLeastSquares
from neuropil.studies.plasticity import what_when_reservoir as ww
from neuropil.studies.plasticity.what_when_reservoir import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def clocked(trials=24, batch=2):
    """Responses in which every moment has a cell of its own, and one seed's stimuli."""
    r = torch.eye(len(ww.MOMENTS), dtype=torch.float64).expand(batch, trials, -1, -1)
    budget = Settings("long", {**SMOKE, "before": trials // 2, "after": trials - trials // 2})
    return r, torch.stack([ww.stimuli(budget, Seed(1000 + k)) for k in range(batch)])


def bump(at):
    return torch.exp(-0.5 * ((ww.MOMENTS - at) / ww.WIDTH) ** 2)


def test_stimuli_come_one_a_trial_at_their_latency_and_probability():
    felt = ww.stimuli(Settings("many", {**SMOKE, "before": 2000, "after": 2000}), Seed(1000))
    came = felt.amax(1) > 0.5
    assert (came.sum(1) == 1).all()
    for part, phase in zip(came.split(2000), ww.PHASES, strict=True):
        np.testing.assert_allclose(part.double().mean(0), [p for _, p in phase], atol=0.03)
    torch.testing.assert_close(felt[0][:, came[0]].squeeze(1), bump(0.3 if came[0, 0] else 0.6))


def test_time_is_the_centroid_above_half_of_the_peak():
    two = bump(0.3) + 0.2 * bump(0.7)
    predicted = torch.stack([two, 0.05 * bump(0.5)], -1)
    error = ww.timing(predicted, torch.tensor([0.31, 0.5], dtype=torch.float64))
    assert float(error[0]) == pytest.approx(10, abs=0.5)
    assert float(error[1]) == ww.LOST


def test_trials_until_the_error_stays_small():
    errors = torch.cat([torch.full((10,), 200.0), torch.full((40,), 5.0)])
    assert ww.trials_until(errors) == 7
    errors[30] = 200.0
    assert ww.trials_until(errors) == 7
    errors[-6:] = 200.0
    assert math.isinf(ww.trials_until(errors))
    assert ww.trials_until(torch.full((20,), 5.0)) == 1


def test_the_gate_opens_for_what_is_felt_and_what_is_expected():
    r, felt = clocked(30)
    learned = ww.learn_gated(arm("no_replay", strength=1), r, felt)
    often, came = (ww.MOMENTS - 0.3).abs() < 0.05, felt[:, 14].amax(-1) > 0.5
    assert (learned.open[:, 14, often] > 0.9).all()
    assert (learned.open[:, 14][came] > 0.9).all()
    assert (learned.open[:, :, :6] == 0).all()
    assert 0.1 < float(learned.open.mean()) < 0.5


def test_replay_brings_the_prediction_to_the_running_mean_of_what_was_felt():
    r, felt = clocked(40)
    learned = ww.learn_gated(arm("gated", strength=3, memory=8.0), r, felt)
    usual = torch.zeros_like(felt[:, 0])
    for trial in range(39):
        usual = usual + (felt[:, trial] - usual) / 8.0
    late = learned.predicted[:, 39]
    torch.testing.assert_close(late, usual, rtol=0, atol=0.11)
    assert (learned.replayed[:, 5].abs().amax((1, 2)) > 0).all()
    even = ww.learn_gated(arm("ungated", strength=3), r, felt, even=torch.full((2,), 0.25, dtype=torch.float64))
    assert (even.open == 0.25).all()


def test_squares_are_the_librarys_readout_trial_after_trial():
    r, felt = clocked(6)
    r = r + 0.1 * torch.randn(r.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    learned = ww.learn_squares(arm("squares", memory=4.0), r, felt, 3)
    rule = RecursiveLeastSquares(40, 2, forgetting=1 - 1 / 160, uncertainty=10.0).double()
    with torch.no_grad():
        _, s = rule(r[:, :5].flatten(1, 2).transpose(0, 1), target=felt[:, :5].flatten(1, 2).transpose(0, 1))
        torch.testing.assert_close(learned.predicted[:, 5], r[:, 5] @ s.w.mT)
    reset = ww.learn_squares(arm("reset"), r, felt, 3)
    kept = ww.learn_squares(arm("all_squares"), r, felt, 3)
    assert (reset.predicted[:, :4] == kept.predicted[:, :4]).all()
    assert (reset.predicted[:, 4] != kept.predicted[:, 4]).any()


def test_arms_hear_the_same_reservoir_but_the_homogeneous_one():
    first, again = (ww.responses(Seed(1001), 40, 10, 10, 1.0) for _ in range(2))
    assert first is again
    assert float(first.r.square().sum(-1).mean()) == pytest.approx(1, rel=0.2)
    assert (ww.responses(Seed(1001), 40, 10, 10, 0.0).r != first.r).any()


def test_off_is_the_plain_delta_rule_and_a_batch_is_its_seeds():
    off, delta = (study.compute(arm(name), SMOKE, [Seed(1002)])[0] for name in ("off", "delta"))
    for name in ("timing_error", "first_error", "amplitude_error"):
        assert off[name] == pytest.approx(delta[name], rel=1e-9)
    both = study.compute(arm("gated"), SMOKE, [Seed(1002), Seed(1003)])
    alone = study.compute(arm("gated"), SMOKE, [Seed(1003)])[0]
    assert both[1]["timing_error"] == pytest.approx(alone["timing_error"], rel=1e-6)
    assert both[0]["timing_error"] != both[1]["timing_error"]


def test_figures_draw_from_stored_results():
    table = Table([1004], {name: study.compute(arm(name), SMOKE, [Seed(1004)]) for name in ("gated", "squares", "ungated")})
    for _, draw in study.figures.values():
        draw(table)
    assert len(table.outcomes["gated"][0]["prediction"].values) == 20
