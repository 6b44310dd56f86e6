import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.memory import random_codebooks
from neuropil.studies.memory import attention_resonator as resonator
from neuropil.studies.memory.attention_resonator import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def test_brute_force_finds_every_product_and_arms_share_products():
    draws = torch.Generator().manual_seed(0)
    books = random_codebooks(3, 7, 64, draws)
    factors = torch.randint(7, (30, 3), generator=draws)
    products = books[torch.arange(3), factors].prod(-2)
    assert torch.equal(resonator.brute_force(books, -products), factors)
    assert study.compute(arm("brute"), SMOKE, [Seed(1000)])[0]["found"] == 1


def test_off_is_the_control_and_the_lesion_costs():
    easy = Settings("some", {**SMOKE, "dimension": 256, "sweeps": 40, "products": 40})
    found = {name: study.compute(arm(name), easy, [Seed(1001)])[0] for name in ("attention", "threshold", "uniform", "off", "hard")}
    for name, value in found["off"].items():
        if isinstance(value, float):
            assert value == found["threshold"][name]
    assert found["attention"]["found"] > 0.9
    assert found["threshold"]["found"] > 0.7
    assert found["uniform"]["found"] < found["attention"]["found"] - 0.2
    assert found["uniform"]["entropy"] == pytest.approx(1)
    assert found["hard"]["entropy"] < 0.05  # above 0 by ties alone
    assert 0 < found["attention"]["entropy"] < 1


def test_a_blend_of_all_softmax_is_the_attention():
    a = torch.randn(5, 9, generator=torch.Generator().manual_seed(1))
    assert torch.equal(resonator.Blend(1.0, 0.7)(a), resonator.AttentionCleanup(0.7)(a))


def test_phasors_are_factorised_and_what_is_allowed_is_counted():
    easy = Settings("some", {**SMOKE, "dimension": 256, "sweeps": 40, "products": 20})
    for name in ("attention_phasor", "threshold_phasor"):
        found = study.compute(arm(name), easy, [Seed(1002)])[0]
        assert found["found"] > 0.8
        assert found["steps"] == 2 * 3 * 40
        assert found["samples"] == 20
    assert study.compute(arm("attention_once"), easy, [Seed(1002)])[0]["restarts"] == 0


def test_the_figure_draws_from_stored_results():
    table = Table([1004], {name: study.compute(arm(name), SMOKE, [Seed(1004)]) for name in study.arms})
    for _, draw in study.figures.values():
        draw(table)
