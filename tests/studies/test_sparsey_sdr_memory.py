import pytest
import torch
from scipy.stats import spearmanr

from neuropil.atlas import Seed, Settings, Table
from neuropil.studies.memory import sparsey_sdr_memory as sparsey
from neuropil.studies.memory.sparsey_sdr_memory import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def test_items_share_with_their_prototype_what_the_swaps_leave():
    x = sparsey.items(SMOKE, Seed(1000))
    assert x.shape == (20, 60)
    assert (x.sum(1) == 20).all()
    shared = x @ x.mT
    for swaps in sparsey.SWAPS[1:]:
        assert (shared == 20 - swaps).any()


def test_rank_correlation_is_that_of_scipy():
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randint(6, (50,), generator=g).float() for _ in range(2))
    assert sparsey.spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert sparsey.spearman(a, torch.ones(50)) == 0


def test_a_batch_of_seeds_is_each_seed_alone():
    seeds = [Seed(1000), Seed(1001)]
    both = study.compute(arm("familiarity"), SMOKE, seeds)
    assert both[1] == study.compute(arm("familiarity"), SMOKE, seeds[1:])[0]


def test_the_noise_is_set_by_the_familiarity_that_is_given():
    seeds = [Seed(1002)]
    x = torch.stack([sparsey.items(SMOKE, seed) for seed in seeds])
    met = sparsey.store_all(arm("familiarity"), SMOKE, x, seeds)
    again = sparsey.store_all(arm("familiarity"), SMOKE, x, seeds, met.familiarity)
    assert torch.equal(met.codes, again.codes)
    none = sparsey.store_all(arm("familiarity"), SMOKE, x, seeds, torch.zeros_like(met.familiarity))
    assert torch.equal(none.codes, sparsey.store_all(arm("random"), SMOKE, x, seeds).codes)


def test_every_arm_runs_off_is_the_constant_gain_and_the_figure_draws():
    found = {name: study.compute(arm(name), SMOKE, [Seed(1003)]) for name in study.arms}
    for name, value in found["off"][0].items():
        if isinstance(value, float):
            assert value == pytest.approx(found["constant_gain"][0][name], abs=1e-6)
    assert found["hashing"][0]["similarity"] > found["random"][0]["similarity"]
    assert found["familiarity"][0]["calming"] > 0
    table = Table([1003], found)
    for _, draw in study.figures.values():
        draw(table)
