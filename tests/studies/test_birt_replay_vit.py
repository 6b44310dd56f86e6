import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.studies.continual import birt_replay_vit as birt
from neuropil.studies.continual.birt_replay_vit import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)
REPLAYING = ("birt", "control", "noise", "snapshots", "slow", "plain", "cut", "off")


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def lesson(value=1000, budget=SMOKE):
    return birt._lesson(tuple(budget.items()), (value,))


def learner(name, **changed):
    return birt.Learner(arm(name, **changed), SMOKE, [SEED], lesson())


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found = numbers(outcomes[name])
    assert set(found) == set(study.metrics)
    assert all(math.isfinite(value) for value in found.values())
    assert (found["samples"], found["steps"]) == (200, 4 * 2 * 4)
    assert found["parameters"] == outcomes["control"]["parameters"]


def test_off_is_the_control_and_arms_differ(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["control"])
    others = [name for name in study.arms if name != "off"]
    assert len({tuple(numbers(outcomes[name]).items()) for name in others}) == len(others)
    assert study.compute(arm("birt"), SMOKE, [SEED])[0] == outcomes["birt"]


def test_seeds_side_by_side_are_what_they_are_alone(outcomes):
    both = study.compute(arm("birt"), SMOKE, [Seed(1003), SEED])[1]
    for name, value in numbers(both).items():
        assert value == pytest.approx(outcomes["birt"][name], abs=0.02 if "accuracy" in name or name == "forgetting" else 1e-3)


def test_examples_come_class_by_class_and_parts_are_disjoint():
    given = lesson()
    assert given.train.labels[0].tolist() == [c for c in range(10) for _ in range(20)]
    assert given.validation.labels[0].bincount().tolist() == [5] * 10
    rows = [{image.numpy().tobytes() for image in part.images[0]} for part in (given.train, given.validation, given.test)]
    assert len(set.union(*rows)) == sum(map(len, rows)) == 200 + 50 + 200
    assert not torch.equal(given.train.images, lesson(1001).train.images)


def test_the_frozen_part_and_the_upper_net_are_the_whole():
    given = lesson()
    assert given.train.tokens.shape == (1, 200, 16, 8)
    y = given.uppers[0](given.train.tokens[0, :40])
    assert float((y[:, :2].argmax(1) == given.train.labels[0, :40]).double().mean()) > 0.6


def test_eight_bits_err_by_half_a_step_at_most_and_take_256_values():
    x = torch.randn(2, 50, 3, 4, generator=torch.Generator().manual_seed(0))
    y = birt.eight_bits(x, 50)
    step = (x.flatten(1, 2).amax(1) - x.flatten(1, 2).amin(1)) / 255
    assert bool(((x - y).abs().flatten(1, 2).amax(1) <= step * 0.5001).all())
    assert len(birt.eight_bits(torch.linspace(0, 1, 5000)[None, :, None, None], 5000).unique()) == 256


def test_class_loss_is_binary_cross_entropy_of_known_classes():
    y = torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(4, (2, 6), generator=torch.Generator().manual_seed(1))
    alone = sum(binary_cross_entropy_with_logits(y[r, :, :4], one_hot(labels[r], 4).float()) for r in range(2))
    torch.testing.assert_close(birt.class_loss(y, labels, 4), alone)
    torch.testing.assert_close(birt.class_loss(y, one_hot(labels, 10).float(), 4), alone)


def test_fine_tuning_without_replay_is_adamw_written_out():
    """The first step after the first task moves every weight by the rate, up or down."""
    before = learner("sequential")
    one = Settings("one", {**SMOKE, "epochs": 1, "batch": 40})
    after = birt.Learner(arm("sequential", level=1), one, [SEED], lesson())
    after.task(1)
    for (name, old), new in zip(before.nets.model.named_parameters(), after.nets.parameters(), strict=True):
        moved = (new - old).detach().abs()[:, :4] if name.startswith("readout") else (new - old).detach().abs()
        assert float(moved.max()) <= 0.01 * 1.001, name
        assert float(moved.median()) == pytest.approx(0.01, rel=0.05), name


@pytest.mark.parametrize("name", REPLAYING)
def test_what_is_kept_is_of_every_class_and_fills_the_same_bytes(outcomes, name):
    assert outcomes[name]["bytes"] == 20 * (16 * 8 + 1)
    assert outcomes[name]["kept"] == 20


def test_images_fill_the_bytes_too_and_are_more(outcomes):
    assert outcomes["images"]["kept"] == 20 * (16 * 8 + 1) // (64 + 1 + 20)
    assert outcomes["images"]["bytes"] <= outcomes["control"]["bytes"]


def test_noise_acts_where_it_should(outcomes):
    for name in ("birt", "noise", "slow", "cut"):
        assert outcomes[name]["noise_shift"] > 0.05
    for name in ("control", "snapshots", "plain", "off"):
        assert outcomes[name]["noise_shift"] == 0
    small, large = (study.compute(arm("birt", level=k), SMOKE, [SEED])[0]["noise_shift"] for k in (1, 3))
    assert small < outcomes["birt"]["noise_shift"] < large


def test_copies_are_renewed_where_they_should_be(outcomes):
    for name in ("birt", "snapshots", "slow"):
        assert outcomes[name]["renewals"] > 0
    for name in ("control", "noise", "plain", "off"):
        assert outcomes[name]["renewals"] == 0
    assert outcomes["slow"]["copy_distance"] > outcomes["birt"]["copy_distance"]


def test_the_copy_pulls_answers_to_its_own():
    """With a strong pull and no renewal, old classes' answers to new images stay what they were."""
    apart, x = [], lesson().train.tokens[:, 40:80]
    for near in (0.001, 10.0):
        one = learner("control", near=near, keeps="nothing")
        one.end(0, 2)
        before = one.nets(x)[..., :2].detach()
        one.task(1)
        apart.append(float((one.nets(x)[..., :2] - before).detach().norm()))
    assert apart[1] < 0.5 * apart[0]


def test_the_lesion_leaves_the_first_tasks_alone(outcomes):
    assert outcomes["cut"]["course"].y[:3] == outcomes["birt"]["course"].y[:3]
    assert outcomes["cut"]["course"].y[3:] != outcomes["birt"]["course"].y[3:]


def test_replay_holds_what_a_stream_alone_forgets():
    some = Settings("some", {**SMOKE, "width": 16, "epochs": 12, "base_epochs": 12})
    found = {name: study.compute(arm(name), some, [SEED])[0] for name in ("plain", "sequential", "joint")}
    assert found["sequential"]["accuracy"] < 0.3
    assert found["joint"]["accuracy"] > found["plain"]["accuracy"] > found["sequential"]["accuracy"] + 0.1


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("birt", "control")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
