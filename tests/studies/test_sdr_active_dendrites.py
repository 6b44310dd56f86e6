import numpy as np
import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.geometry import false_match, missed_match
from neuropil.studies.cells import sdr_active_dendrites as sdr
from neuropil.studies.cells.sdr_active_dendrites import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def test_stored_patterns_noise_and_other_patterns_are_the_same_in_every_arm():
    one, other = (list(sdr.tasks(arm(name), SMOKE, Seed(1000))) for name in ("segments", "trained"))
    for a, b in zip(one, other, strict=True):
        assert (a.stored == b.stored).all()
        assert all((x == y).all() for x, y in zip((*a.test, *a.tuning), (*b.test, *b.tuning), strict=True))
    few, many = one[0], one[-1]
    assert (many.stored[:5] == few.stored).all()
    assert ((few.test[0] * few.stored.repeat(40, 1)).sum(1) == 16).all()
    assert not (few.test[0] == few.tuning[0]).all()
    assert not (few.test[1] == few.tuning[1]).all()


def test_synapses_are_counted_out_fairly():
    for task in sdr.tasks(arm("segments"), SMOKE, Seed(1001)):
        m = len(task.stored)
        own = sdr.synapses(task, Seed(1001))
        assert own.sum(1).tolist() == [min(400 // m, 20)] * m
        assert (own <= task.stored).all()
        scrambled = sdr.scramble(own, torch.Generator().manual_seed(0))
        assert (scrambled.sum(0) == own.sum(0)).all()
        assert (scrambled.sum(1) == own.sum(1)).all()
        if m > 5:
            assert (scrambled != own).any()
    levels = [sdr.unit(arm("segments", level=k), task, Seed(1001)).segments for k in range(3)]
    assert levels == [57, 29, 19]


def test_the_best_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    own, other = rng.normal(1, 1, 70).astype(np.float32), rng.normal(0, 1, 50).astype(np.float32)
    tried = [sdr.balanced_error(own, other, t) for t in np.linspace(-5, 5, 4001)]
    assert sdr.balanced_error(own, other, sdr.best_threshold(own, other)) <= min(tried)


def test_scores_and_threshold_are_what_the_cell_answers():
    task = list(sdr.tasks(arm("segments"), SMOKE, Seed(1002)))[1]
    cell = sdr.unit(arm("segments"), task, Seed(1002))
    found = sdr.scores(cell, task.test[0])
    cell.threshold = 11.0
    with torch.no_grad():
        assert (cell(task.test[0])[:, 0].numpy() == (found >= 11)).all()


@pytest.mark.parametrize(
    ("errors", "expected"),
    [([0.0, 0.02, 0.3], (2 + 3) / 2), ([0.02, 0.0, 0.3], 2), ([0.0, 0.0, 0.01], 4), ([0.0, 0.005, 0.015], 3.5)],
)
def test_capacity_is_where_the_error_first_passes_one_in_a_hundred(errors, expected):
    assert sdr.log2_capacity((4, 8, 16), errors) == pytest.approx(expected)


def test_segments_err_as_the_laws_say():
    budget = Settings("law", {**SMOKE, "stored": (57,), "shown": 6000})
    (task,) = sdr.tasks(arm("segments"), budget, Seed(1003))
    cell = sdr.unit(arm("segments"), task, Seed(1003))
    own, other = (sdr.scores(cell, part) for part in task.test)
    for threshold in (4, 5, 6):
        missed, false = missed_match(20, 7, threshold, 4), 1 - (1 - false_match(500, 20, 7, threshold)) ** 57
        assert (own < threshold).mean() == pytest.approx(missed, abs=4 * (missed / 6000) ** 0.5 + 0.005)
        assert (other >= threshold).mean() == pytest.approx(false, abs=4 * (false / 6000) ** 0.5 + 0.05 * false)
    assert sdr.by_law(arm("segments"), 57) == pytest.approx(min(sdr.balanced_error(own, other, t) for t in range(1, 8)), abs=0.004)


def test_the_trained_unit_tells_apart_what_one_line_can():
    task = next(sdr.tasks(arm("trained"), SMOKE, Seed(1004)))
    cell = sdr.unit(arm("trained"), task, Seed(1004))
    own, other = (sdr.scores(cell, part) for part in task.test)
    assert sdr.balanced_error(own, other, sdr.best_threshold(own, other)) == 0


def test_off_is_the_trained_unit_and_the_seed_decides_everything():
    found = {name: study.compute(arm(name), SMOKE, [Seed(1005)])[0] for name in ("off", "trained")}
    for name, value in found["trained"].items():
        if isinstance(value, float):
            assert value == pytest.approx(found["off"][name], rel=1e-9)
    again = study.compute(arm("segments"), SMOKE, [Seed(1005), Seed(1006)])
    assert again[0] == study.compute(arm("segments"), SMOKE, [Seed(1005)])[0]
    assert again[0]["error_many"] != again[1]["error_many"]


def test_figures_draw_from_stored_results():
    names = ("segments", "trained", "segments_digits", "scrambled")
    table = Table([1007], {name: study.compute(arm(name), SMOKE, [Seed(1007)]) for name in names})
    for _, draw in study.figures.values():
        draw(table)
    assert table.mean("segments", "log2_patterns") > table.mean("scrambled", "log2_patterns")
