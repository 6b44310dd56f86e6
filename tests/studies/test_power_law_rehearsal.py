import math

import pytest
import torch
from scipy import stats

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.continual import continual_metrics, exponential_law
from neuropil.studies.continual import power_law_rehearsal as plr
from neuropil.studies.continual.power_law_rehearsal import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)
LAGS = torch.arange(1, 10, dtype=torch.float64)


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


def mean_lag(weights):
    return float((LAGS * weights).sum() / weights.sum())


def test_the_matched_exponential_has_the_power_laws_mean_lag_and_is_an_exponential():
    weights = plr.law_of(arm("exponential"))(LAGS)
    assert mean_lag(weights) == pytest.approx(stats.zipfian(1.0, 9).mean(), abs=1e-9)
    ratios = weights[1:] / weights[:-1]
    torch.testing.assert_close(ratios, ratios[:1].expand(8))
    assert 0 < float(ratios[0]) < 1
    power = plr.law_of(arm("power"))(LAGS)
    assert not torch.allclose(weights / weights.sum(), power / power.sum(), atol=0.02)
    few = LAGS[:1]
    assert plr.matched(few, few).tolist() == [1.0]


def test_the_other_laws_are_what_they_are_called():
    assert plr.law_of(arm("uniform"))(LAGS).tolist() == [1.0] * 9
    assert plr.law_of(arm("recent"))(LAGS).tolist() == [1.0] + [0.0] * 8
    assert torch.equal(plr.law_of(arm("reversed"))(LAGS), plr.law_of(arm("power"))(LAGS).flip(0))
    assert torch.equal(plr.law_of(arm("off"))(LAGS), plr.law_of(arm("uniform"))(LAGS))
    assert mean_lag(exponential_law(0.0)(LAGS)) == 5.0


def test_the_desks_dose_is_met_by_arithmetic():
    desk, shares = study.budgets["desk"], stats.zipfian(1.0, 9)
    assert 1 - shares.mean() / 5 >= 0.3
    assert shares.pmf(9) * plr.RATIO * desk["images"][0] >= 20


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found = numbers(outcomes[name])
    missing = set(study.metrics) - set(found)
    assert missing == (set() if study.arms[name]["how"] == "rehearse" else {"mean_lag", "lag_shortened", "fewest"})
    assert all(math.isfinite(value) for value in found.values())


def test_schedules_differ_in_nothing_but_the_lag(outcomes):
    schedules = [name for name in study.arms if study.arms[name]["how"] == "rehearse"]
    for matched in ("parameters", "steps", "samples"):
        assert len({outcomes[name][matched] for name in schedules}) == 1
    rehearsed = plr.RATIO * 200 * (SMOKE.tasks - 1)
    assert outcomes["power"]["samples"] == 200 * SMOKE.tasks + rehearsed
    assert outcomes["none"]["samples"] == outcomes["ewc"]["samples"] == 200 * SMOKE.tasks
    assert outcomes["joint"]["samples"] == 200 * 21
    first = {outcomes[name]["accuracy_matrix"].values[0][0] for name in study.arms}
    assert len(first) == 1  # in the first task all arms but the penalised ones are one net, and penalties are 0 then


def test_off_is_uniform_and_the_power_law_is_not(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["uniform"])
    assert numbers(outcomes["power"]) != numbers(outcomes["uniform"])


def test_the_lag_is_measured(outcomes):
    assert outcomes["uniform"]["mean_lag"] == pytest.approx(3.0)
    assert outcomes["uniform"]["lag_shortened"] == pytest.approx(0.0)
    assert outcomes["power"]["mean_lag"] == pytest.approx(stats.zipfian(1.0, 5).mean(), abs=0.05)
    assert outcomes["recent"]["mean_lag"] == 1.0
    assert outcomes["recent"]["fewest"] == 0
    assert outcomes["exponential"]["mean_lag"] == pytest.approx(outcomes["power"]["mean_lag"], abs=0.05)
    assert outcomes["reversed"]["mean_lag"] == pytest.approx(6 - outcomes["power"]["mean_lag"])


def test_a_matrix_is_read_as_the_houses_metrics_read_it():
    table = torch.rand(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, known = plr.summary(table), continual_metrics(table)
    assert found["accuracy"] == pytest.approx(known.average_accuracy)
    assert found["learning_accuracy"] == pytest.approx(known.learning_accuracy)
    assert found["forgetting"] == pytest.approx(known.forgetting)
    assert found["early_accuracy"] == pytest.approx(float(table[-1, :3].mean()))
    assert found["recent_accuracy"] == pytest.approx(float(table[-1, 3:5].mean()))
    diagonal = table.diagonal()
    assert found["facilitation"] == pytest.approx(float(diagonal[3:].mean() - diagonal[:3].mean()))
    assert found["by_lag"].y == table[-1].flip(0).tolist()


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("power", "uniform")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
