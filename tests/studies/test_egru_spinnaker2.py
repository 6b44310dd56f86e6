import math

import numpy as np
import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.cells import EventGRU
from neuropil.studies.cells import egru_spinnaker2 as egru
from neuropil.studies.cells.egru_spinnaker2 import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def compute(name, *seeds, **changed):
    return study.compute(arm(name, **changed), SMOKE, [Seed(seed) for seed in seeds or (1000,)])


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def cell(**settings):
    return EventGRU(5, neurons=7, threshold=0.1, generator=draws(), **settings)


def test_windows_hear_each_character_and_are_asked_for_the_next():
    codes = torch.tensor([3, 1, 4, 1, 5, 2, 0, 5, 3])
    x, following = egru.windows(codes, torch.tensor([[0, 5], [2, 4]]), 3, 6)
    assert x.shape == (2, 3, 2, 6)
    assert x.argmax(-1)[0, :, 0].tolist() == [3, 1, 4]
    assert following[0, :, 0].tolist() == [1, 4, 1]
    assert x.argmax(-1)[1, :, 1].tolist() == [5, 2, 0]
    assert following[1, :, 1].tolist() == [2, 0, 5]


def test_what_is_learned_chosen_by_and_tested_on_are_three_parts_of_one_text():
    corpus = egru.text("made")
    assert torch.equal(torch.cat((corpus.train, corpus.validation, corpus.test)), egru.made_text())
    assert (len(corpus.train), len(corpus.validation), len(corpus.test), corpus.alphabet) == (3600, 200, 200, 7)


def test_control_and_mechanism_differ_in_the_reset_alone():
    assert {name for name, value in study.arms["egru"].items() if study.arms["thresholded"][name] != value} == {"reset"}
    one, other = (egru.Net(arm(name), SMOKE, 7, draws()) for name in ("egru", "thresholded"))
    for name, numbers in one.named_parameters():
        assert torch.equal(numbers, dict(other.named_parameters())[name])
    assert (one.core.reset, other.core.reset) == (1.0, 0.0)
    assert one.core.threshold.requires_grad
    assert one.core.threshold.mean().item() == pytest.approx(0.3, abs=0.15)


def test_the_penalty_draws_every_unit_to_its_share_of_events():
    budget = Settings("longer", {**SMOKE, "steps": 40, "batch": 16})
    for name in ("egru", "thresholded"):
        near, free = (
            np.abs(np.array(study.compute(arm(one, rate=0.03), budget, [Seed(1001)])[0]["rates"].y) - egru.TARGET)
            for one in (name, name + "_free")
        )
        assert near.mean() < 0.5 * free.mean()


def test_resets_at_their_own_moments_are_the_cell_and_at_others_they_are_not():
    x = torch.randn(20, 3, 5, generator=draws(1))
    y, events, _ = cell().speak(x)
    torch.testing.assert_close(egru.with_resets_at(cell(), x, events), y)
    other = egru.permuted(events, draws(2))
    assert torch.equal(other.sum(0), events.sum(0))
    assert (other != events).any()
    moved = egru.with_resets_at(cell(), x, other)
    assert not torch.equal(moved, y)
    none = egru.with_resets_at(cell(), x, torch.zeros_like(events))
    torch.testing.assert_close(none, cell(reset=0.0)(x)[0])


def test_the_share_of_resets_is_that_of_the_states_they_leave():
    x = torch.randn(20, 3, 5, generator=draws(1))
    with torch.no_grad():
        _, events, _ = cell().speak(x)
        s, before = None, []
        for moment, event in zip(x, events, strict=True):
            _, s = cell().step(moment, s)
            before.append(s.h + 0.1 * event)
    expected = (0.1 * events).norm() / torch.stack(before).norm()
    with torch.no_grad():
        assert egru.reset_share(cell(), x) == pytest.approx(expected.item(), rel=1e-5)
        assert egru.reset_share(cell(reset=0.0), x) == 0


def test_a_bigram_of_a_walk_that_doubts_at_every_third_step():
    corpus, budget = egru.text("made"), Settings("", {**SMOKE, "window": 60, "tested": 100})
    # A step is 1 in 2 of 3 cases and at the others 0, 1 or 2 alike, so it is 1 in 7 of 9 cases.
    expected = -(7 / 9 * math.log2(7 / 9) + 2 / 9 * math.log2(1 / 9))
    assert egru.bigram_bpc(corpus, budget) == pytest.approx(expected, abs=0.1)


def test_arms_report_what_their_contrasts_and_checks_need():
    found = {name: compute(name)[0] for name in study.arms}
    for contrast in study.contrasts:
        for side in (contrast.a, contrast.b):
            assert contrast.on in found[side]
            assert all(match.metric in found[side] for match in contrast.matches)
    assert all(dose.metric in found["egru"] for dose in study.doses)
    assert found["dense"]["activity"] == found["lstm"]["activity"] == 1
    events, units = torch.tensor(found["egru"]["events"].values), SMOKE.units
    assert events.shape == (units, SMOKE.window)
    assert found["egru"]["operations"] == pytest.approx(found["egru"]["activity"] * units * (3 * units + 7))
    desk = Settings("desk", study.budgets["desk"])
    sizes = {name: sum(p.numel() for p in egru.Net(arm(name), desk, 65, draws()).parameters()) for name in ("egru", "dense", "lstm")}
    assert max(sizes.values()) < 1.05 * min(sizes.values())


def test_off_is_the_control_and_the_lesion_leaves_the_trained_net_alone():
    found = {name: compute(name, 1003, 1004) for name in ("egru", "moved", "thresholded", "off")}
    for one, other in zip(found["thresholded"], found["off"], strict=True):
        assert {name: value for name, value in one.items() if isinstance(value, float)} == {
            name: value for name, value in other.items() if isinstance(value, float)
        }
    assert found["egru"][0]["validation_bpc"] == found["moved"][0]["validation_bpc"]
    assert found["egru"][0]["bpc"] != found["moved"][0]["bpc"]
    assert found["egru"][0]["bpc"] != found["thresholded"][0]["bpc"]
    assert compute("egru", 1003, 1004)[0] == found["egru"][0]


def test_a_seed_gives_the_same_whichever_others_learn_beside_it():
    both, alone = compute("egru", 1005, 1006)[1], compute("egru", 1006)[0]
    assert both["bpc"] == pytest.approx(alone["bpc"], abs=1e-5)


def test_figures_draw_from_stored_results():
    table = Table([1007], {name: compute(name, 1007) for name in study.arms if name != "off"})
    for _, draw in study.figures.values():
        draw(table)
