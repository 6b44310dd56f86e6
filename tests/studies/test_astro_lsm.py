import numpy as np
import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.studies.plasticity import astro_lsm as lsm
from neuropil.studies.plasticity.astro_lsm import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def compute(name, seed=1000, **changed):
    return study.compute(arm(name, **changed), SMOKE, [Seed(seed)])[0]


def test_every_scale_has_its_own_pictures_and_all_arms_the_same():
    one, two = lsm.part(SMOKE, Seed(1000), 0), lsm.part(SMOKE, Seed(1000), 1)
    assert len(one.pictures) == len(one.labels) == 110
    both = torch.cat([one.pictures, two.pictures])
    assert len(both.unique(dim=0)) == len(both)
    assert (lsm.part(SMOKE, Seed(1000), 0).pictures == one.pictures).all()


def test_every_picture_spikes_as_often():
    pictures = lsm.part(SMOKE, Seed(1001), 0).pictures
    spikes = lsm.encode(pictures, 4000, 3.0, torch.Generator().manual_seed(0))
    assert spikes.shape == (110, 4000, 64)
    np.testing.assert_allclose(spikes.sum((1, 2)) / 4000, 3.0, atol=0.15)
    share = spikes.double().mean(1) / 3.0
    torch.testing.assert_close(share, (pictures / pictures.sum(1, keepdim=True)).double(), rtol=0, atol=0.02)


def test_liquids_of_all_scales_share_their_wiring_and_signs():
    small, large = lsm.liquid(SMOKE, Seed(1000), 0), lsm.liquid(SMOKE, Seed(1000), 3)
    torch.testing.assert_close(large.rule.weight, 8 * small.rule.weight)
    assert small.rule.weight.abs().unique().tolist() == pytest.approx([0.0, 0.3])


def test_the_control_has_the_astrocytes_mean_depression():
    budget = Settings("yoked", {**SMOKE, "trained": 60, "validated": 10, "tested": 10})
    nalsm, held = (lsm.respond(how, budget, Seed(1002), 3) for how in ("nalsm", "held"))
    assert held.settling.std() < 1e-9 < nalsm.settling.std()
    assert float(held.settling.mean()) == pytest.approx(float(nalsm.settling.mean()), rel=1e-6)
    assert float(held.depression[:60].mean()) == pytest.approx(float(nalsm.depression[:60].mean()), rel=1e-6)
    fading = lsm.FADE ** torch.arange(budget.steps, dtype=torch.float64)
    assert float((held.depression / fading).std(1).max()) < 1e-6
    assert (held.counts != nalsm.counts).any()


def test_only_what_learns_changes_its_weights():
    found = {how: lsm.respond(how, SMOKE, Seed(1003), 3) for how in ("nalsm", "stdp", "fixed", "initial")}
    assert found["fixed"].change == found["initial"].change == 0
    assert found["nalsm"].change > 0
    assert found["stdp"].change > 0
    assert (found["initial"].counts != found["fixed"].counts).any()  # weights move within a sample
    assert (found["initial"].counts != found["nalsm"].counts).any()


def test_the_lesion_reads_unsettled_liquids_with_the_same_readout():
    nalsm, lesioned = compute("nalsm"), compute("initial")
    assert lesioned["validation_accuracy"] == nalsm["validation_accuracy"]
    assert lesioned["accuracy"] != nalsm["accuracy"]


def test_arms_report_what_their_contrasts_need():
    found = {name: compute(name) for name in study.arms}
    for contrast in study.contrasts:
        for side in (contrast.a, contrast.b):
            assert contrast.on in found[side]
            assert all(match.metric in found[side] for match in contrast.matches)
    fixed = found["fixed"]
    assert fixed["sensitivity"] == pytest.approx(fixed["best_accuracy"] - fixed["worst_accuracy"])
    assert fixed["accuracy"] == pytest.approx(np.mean(fixed["by_scale"].y))
    assert found["fixed_best"]["accuracy"] in fixed["by_scale"].y
    assert found["stdp"]["reference_accuracy"] == found["stdp"]["accuracy"]
    assert found["stdp"]["mean_depression"] == pytest.approx(lsm.POTENTIATION)
    assert found["held"]["depression_cv"] < 1e-6 < found["nalsm"]["depression_cv"]


def test_off_runs_the_astrocyte_at_strength_0():
    off, held = lsm.respond("nalsm", SMOKE, Seed(1000), 3, 0.0), lsm.respond("held", SMOKE, Seed(1000), 3)
    assert off is not held
    assert (off.counts == held.counts).all()
    weak = lsm.respond("nalsm", SMOKE, Seed(1000), 3, 0.1)
    assert weak.depression.std() > 1e-4 + held.depression.std()


def test_off_is_the_control_and_the_seed_decides_everything():
    off, held = compute("off", 1004), compute("held", 1004)
    for name, value in held.items():
        if isinstance(value, float):
            assert value == pytest.approx(off[name], abs=1e-9)
    lsm._respond.cache_clear()
    assert compute("held", 1004) == held
    assert compute("held", 1005)["accuracy"] != held["accuracy"]


def test_figures_draw_from_stored_results():
    table = Table([1006], {name: [compute(name, 1006)] for name in study.arms})
    for _, draw in study.figures.values():
        draw(table)
    assert len(table.curves("nalsm", "depression")[0].x) == SMOKE.steps
