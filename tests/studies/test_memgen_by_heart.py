import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.studies.memory import memgen_by_heart as memgen
from neuropil.studies.memory.memgen_by_heart import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def test_sets_are_disjoint_and_memorisers_recite_what_they_know():
    given = memgen.sets(SMOKE, Seed(1000))
    assert [len(x) for x in given] == [100, 60, 60, 40]
    assert not any(bool((x[:, None] == given.train).all(-1).any()) for x in given[1:])
    assert given.train.mean(0).abs().max() < 1e-4
    for name, known in (("memoriser", 100), ("memoriser_half", 50)):
        samples = memgen.generated(arm(name), SMOKE, Seed(1000), given)
        found = (samples[:, None] == given.train).all(-1)
        assert found.any(1).all()
        assert int(found.any(0).nonzero().max()) < known
    assert torch.equal(memgen.generated(arm("off"), SMOKE, Seed(1000), given), given.fresh)
    assert memgen.generated(arm("mixture"), SMOKE, Seed(1000), given).shape == given.fresh.shape


def test_surprise_is_the_density_of_normal_kernels():
    samples, x = torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0]])
    found = memgen.surprise(samples, x, x)
    law = [
        -torch.logsumexp(torch.stack([torch.distributions.Normal(m, width).log_prob(torch.tensor(1.0)) for m in (0.0, 4.0)]), 0)
        + torch.tensor(2.0).log()
        for width in memgen.BANDWIDTHS
    ]
    assert found == pytest.approx(float(min(law)), rel=1e-5)


def test_scores_see_copies_and_the_lesion_blinds_them():
    found = {name: study.compute(arm(name), SMOKE, [Seed(1001)])[0] for name in study.arms}
    assert found["memoriser"]["recited"] == 1
    assert found["real"]["recited"] == 0
    assert found["memoriser"]["copying"] < found["swapped"]["copying"] - 3
    assert found["memoriser"]["authenticity"] == 0
    assert found["overspread"]["copying"] > found["real"]["copying"]
    for name, value in found["off"].items():
        if isinstance(value, float):
            assert value == found["real"][name]
    assert found["memoriser"]["copying_by_share"].y[0] == found["real"]["copying"]
    table = Table([1001], {name: [outcome] for name, outcome in found.items()})
    for _, draw in study.figures.values():
        draw(table)
