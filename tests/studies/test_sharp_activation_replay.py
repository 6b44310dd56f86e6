import math

import pytest
import torch

from neuropil.atlas import Curve, Seed, Settings, Table
from neuropil.studies.continual import sharp_activation_replay as sr
from neuropil.studies.continual.sharp_activation_replay import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)
IN_EPISODES = [name for name, arm in study.arms.items() if arm["learns"] == "episodes"]


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve)}


def learned(name, episodes, **changed):
    learner = sr.Learner(arm(name, **changed), SMOKE, SEED)
    for number in range(episodes):
        learner.episode(number)
    return learner


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def test_pictures_come_class_by_class_in_an_order_of_the_seed_and_parts_are_disjoint():
    given = sr._lesson(tuple(SMOKE.items()), 1000)
    assert given.train[1].tolist() == [c for c in range(10) for _ in range(SMOKE.each)]
    rows = [{x.numpy().tobytes() for x in part[0]} for part in given]
    assert len(set.union(*rows)) == sum(map(len, rows))
    assert not torch.equal(sr._lesson(tuple(SMOKE.items()), 1001).train[0], given.train[0])


def test_an_outcome_is_the_mean_over_nets():
    both = study.compute(arm("sharp"), Settings("smoke", {**SMOKE, "nets": 2}), [SEED])[0]
    each = [sr.learned(arm("sharp"), SMOKE, Seed(SEED.axis(f"net {k}"))) for k in range(2)]
    for name, value in numbers(both).items():
        assert value == pytest.approx((each[0][name] + each[1][name]) / 2, abs=1e-12)
    assert both["course"].y == pytest.approx([(a + b) / 2 for a, b in zip(each[0]["course"].y, each[1]["course"].y, strict=True)])


def test_the_selected_share_falls_by_a_cosine_to_its_floor():
    assert sr.selected_share(0, 6, 0.9) == 1.0
    assert sr.selected_share(6, 6, 0.9) == pytest.approx(0.9)
    assert sr.selected_share(5, 10, 0.75) == pytest.approx(0.5 * (1 + math.cos(math.pi / 6)))


def test_units_that_have_frozen_give_what_they_gave():
    """Consolidated units of every layer compute the same at the end as when they froze, to the last bit; without freezing they do not, nor where free ones still feed them."""
    for changed, same in (({}, True), ({"freezes": 0.0}, False), ({"rewires": 0.0}, False)):
        learner = learned("sharp", 2, **changed)
        frozen = learner.ages.frozen(1, below=1)
        assert all(0 < int(units.sum()) < len(units) for units in frozen)
        assert torch.equal(frozen[0], learner.ages.ages[0] >= 2)
        assert [torch.equal(units, ages >= 3) for units, ages in zip(frozen[1:], learner.ages.ages[1:], strict=True)] == [True, True]
        x = learner.lesson.test[0]
        before = activities(learner, x)
        learner.episode(2)
        after = activities(learner, x)
        kept = all(torch.equal(a[:, units], b[:, units]) for a, b, units in zip(before, after, frozen, strict=True))
        assert kept == same


def test_what_is_kept_of_used_units_stays_what_they_give():
    """The layer below the store freezes with the end of an episode; free units, and all of them in the control, go on learning."""
    for name, fresh in (("sharp", True), ("freeze_only", True), ("static", False)):
        learner = learned(name, 1)
        used, kept = learner.ages.at_least(2)[0], learner.kept(0, SMOKE.kept)
        before = learner.lower(kept).detach()
        learner.episode(1)
        after = learner.lower(kept).detach()
        assert 0 < int(used.sum()) < len(used)
        assert torch.equal(before[:, used], after[:, used]) == fresh
        assert not torch.equal(before[:, ~used], after[:, ~used])


def activities(learner, x):
    found = []
    with torch.no_grad():
        for layer in learner.linear:
            x = layer(x).relu()
            found.append(x)
    return found


def test_used_units_have_no_connection_from_free_ones():
    learner = learned("sharp", 3)
    used = learner.ages.at_least(2)
    for name, below, above in zip(learner.mask, used, used[1:], strict=False):
        assert not bool(learner.mask[name][above][:, ~below].any())
    assert bool((learner.linear[1].weight[~learner.mask["layers.linear2.weight"]] == 0).all())
    loose = learned("static", 3)
    used = loose.ages.at_least(2)
    assert bool(loose.mask["layers.linear2.weight"][used[1]][:, ~used[0]].any())


def test_what_is_kept_is_what_the_arm_says():
    small, width = SMOKE.kept, SMOKE.widths[0]
    assert learned("sharp", 3).store.labels == [4, 5]
    assert learned("sharp", 3, replay="nothing").store.labels == []
    whole = learned("all", 3)
    assert whole.store.labels == list(range(6))
    assert whole.store.bytes == 6 * (small * width + 8)
    for name, changed in (("images_equal", {}), ("all", {"room": "shared"})):
        shared = learned(name, 3, **changed)
        assert shared.store.labels == list(range(6))
        assert 2 * small * width * 0.7 < sum(shared.store[label].numel() for label in range(6)) <= 2 * small * width
    assert learned("images_equal", 2).store[0].shape[1] == 64


def test_stored_vectors_are_of_their_class_and_its_units():
    learner = learned("sharp", 3)
    ages = learner.ages.ages[-1]
    assert torch.equal(learner.readout.units(5), ages >= 2)
    assert torch.equal(learner.readout.units(3), ages >= 3)
    torch.testing.assert_close(learner.readout.vectors(5), learner.embed(learner.kept(5, SMOKE.vectors)))
    for label in range(6):
        assert len(learner.readout.vectors(label)) == SMOKE.vectors < len(learner.wide.vectors(label)) == SMOKE.kept
        assert torch.equal(learner.wide.vectors(label)[: SMOKE.vectors], learner.readout.vectors(label))
        assert torch.equal(learner.wide.units(label), learner.readout.units(label))
    assert sr.drift(learned("sharp", 5)) < sr.drift(learned("sharp", 5, freezes=0.0, rate=0.3))


def test_the_untrained_net_and_pixels_have_the_bytes_of_the_others(outcomes):
    """As many vectors or pictures a class as fit: one more would not; at the desk they differ by less than one part in twenty."""
    vector, picture, wide = 10 * 4 * SMOKE.widths[-1], 10 * 64, "bytes_25"
    assert outcomes["static"]["bytes"] == outcomes["sharp"]["bytes"]
    assert outcomes["static"][wide] == outcomes["sharp"][wide]
    for name, on, one_more in (("random", "bytes", vector), ("random", wide, vector), ("pixels_equal", "bytes", picture)):
        assert outcomes[name][on] <= outcomes["sharp"][on] < outcomes[name][on] + one_more
    desk = Settings("desk", study.budgets["desk"])
    assert (sr.fitting(desk, desk.vectors), sr.fitting(desk, desk.kept), sr.fitting_pictures(desk, 196)) == (6, 26, 38)
    total = 10 * (5 * 1200 + 38) + 2 * (25 * 300 + 8)
    assert 0 <= total - 10 * (6 * 1200 + 38) < 0.05 * total
    assert 0 <= total - 10 * (38 * 196 + 8) < 0.05 * total


def test_pixels_are_read_as_they_are_kept():
    """A byte a pixel, and as near as that is to the pictures."""
    for name, number, k in (("pixels", 5, 3), ("pixels_equal", 13, 5)):
        learner = sr.Learner(arm(name), SMOKE, SEED)
        learner.know_at_once()
        assert (len(learner.store[3]), learner.readout.k) == (number, k)
        assert torch.equal(learner.readout.vectors(3), learner.store[3])
        assert float((learner.store[3] - learner.kept(3, number)).abs().max()) < 0.02


def test_an_arm_may_have_fewer_nets():
    two = Settings("smoke", {**SMOKE, "nets": 2})
    assert study.arms["thawed"]["nets"] == 1
    assert study.compute(arm("thawed"), two, [SEED])[0] == study.compute(arm("thawed"), SMOKE, [SEED])[0]


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    of_ages = {"unmasked_accuracy", "swapped_share", "later_swapped_share", "frozen_share", "free_share"}
    of_vectors = {"accuracy_25", "bytes_25"}
    of_episodes = {"forgetting", "learning_accuracy", "drift"}
    lacking = (set() if "floor" in study.arms[name] else of_ages) | (set() if name in IN_EPISODES else of_episodes)
    lacking |= of_vectors if name in ("pixels", "pixels_equal", "images_equal") else set()
    found = numbers(outcomes[name])
    assert set(found) == set(study.metrics) - lacking
    assert all(math.isfinite(value) for value in found.values())
    if name in IN_EPISODES:
        assert found["steps"] == outcomes["sharp"]["steps"] > 0
        assert found["density"] == pytest.approx(sr.DENSITY, abs=0.02)


def test_off_is_the_control_and_arms_differ(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["static"])
    others = [name for name in study.arms if name != "off"]
    assert len({tuple(numbers(outcomes[name]).items()) for name in others}) == len(others)
    assert study.compute(arm("sharp"), SMOKE, [SEED])[0] == outcomes["sharp"]


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("sharp", "static")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
