import numpy as np
import pytest
import torch

from neuropil.atlas import Seed, Settings
from neuropil.studies.plasticity import inverse_effectiveness_fusion as fusion
from neuropil.studies.plasticity.inverse_effectiveness_fusion import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def trained(name, **changed):
    return fusion.train(arm(name, **changed), fusion.task(SMOKE, Seed(1000)), SMOKE, Seed(1000))


def test_yoked_networks_get_the_factors_of_the_next_and_learn_their_own_pairs():
    own, other = trained("inverse"), trained("yoked")
    assert torch.equal(other.factor, own.factor.roll(1, 1))
    assert not torch.equal(own.factor[:, 0], own.factor[:, 1])
    mean = trained("own_mean")
    torch.testing.assert_close(mean.factor, own.factor.mean(0).expand_as(own.factor))


def test_a_gain_multiplies_the_factor_and_plain_arms_have_none():
    own, more = trained("inverse"), trained("inverse", gain=3.0)
    torch.testing.assert_close(more.factor[0], 3 * own.factor[0])
    assert (trained("constant", gain=0.3).factor == 0.3).all()
    assert (trained("slow", gain=3.0).factor - 0.9).abs().max() < 1e-6
    assert (trained("none", gain=3.0).factor == 1).all()
    assert (trained("off", gain=3.0).factor == 1).all()


def test_the_flipped_factor_is_the_others_mirror_image_where_they_begin_alike():
    torch.testing.assert_close(trained("inverse").factor[0] + trained("flipped").factor[0], torch.full((2,), 2.0))


def test_the_bare_arm_trains_no_heads_and_the_others_do():
    given = fusion.task(SMOKE, Seed(1000))
    start = fusion.networks(given, SMOKE, Seed(1000))[0].heads[0].weight
    assert torch.equal(trained("bare").networks[0].heads[0].weight, start)
    assert not torch.equal(trained("none").networks[0].heads[0].weight, start)


def test_networks_begin_alike_in_all_arms_and_unlike_in_one_litter():
    given = fusion.task(SMOKE, Seed(1000))
    one, again = (fusion.networks(given, SMOKE, Seed(1000)) for _ in range(2))
    for a, b in zip(one.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    weight = one[0].fusion.weight
    assert not torch.equal(weight, one[1].fusion.weight)


def test_pairs_are_of_one_digit_and_every_network_has_its_own():
    given = fusion.task(SMOKE, Seed(1001))
    assert [len(each.digit) for each in given.train] == [300, 300]
    assert not torch.equal(given.train[0].sound, given.train[1].sound)
    assert torch.equal(given.test.digit, given.clean.digit)
    noise = given.test.image - given.clean.image
    assert noise.std().item() == pytest.approx(1, rel=0.02)
    assert (given.test.sound - given.clean.sound).std().item() == pytest.approx(1.5, rel=0.02)


def test_correlation_within_epochs_is_numpys_after_taking_the_means_of_epochs_away():
    random = np.random.default_rng(0)
    a, b = random.normal([[0.0], [0], [0], [9], [9], [9]], size=(6, 2)), random.normal(size=(6, 2))
    expected = []
    for k in range(2):
        x, y = ((v[:, k].reshape(2, 3) - v[:, k].reshape(2, 3).mean(1, keepdims=True)).ravel() for v in (a, b))
        expected.append(x @ y / np.sqrt((x @ x) * (y @ y)))
    assert fusion.within_epochs(torch.from_numpy(a), torch.from_numpy(b), 2) == pytest.approx(np.mean(expected))
    assert fusion.within_epochs(torch.ones(6, 2), torch.from_numpy(b), 2) == 0
