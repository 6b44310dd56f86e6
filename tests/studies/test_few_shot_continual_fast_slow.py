import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from neuropil.atlas import Curve, Seed, Settings, Table
from neuropil.continual import EWC, FastSlowWeights
from neuropil.studies.continual import few_shot_continual_fast_slow as fs
from neuropil.studies.continual.few_shot_continual_fast_slow import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def lesson(seed=1000):
    return fs._lesson(tuple((name, value) for name, value in SMOKE.items() if name != "resplit"), seed)


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve)}


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def test_shots_validation_and_test_pictures_are_of_the_new_classes_and_none_is_in_two():
    given = lesson()
    images, labels, _, _ = fs._photographs("digits", 8)
    tested = fs.tasks(images, given.held_out)
    for parts, each in ((given.shots, 5), (given.validation, 10), (tested, 40)):
        assert [y.tolist() for _, y in parts] == [[2 * k] * each + [2 * k + 1] * each for k in range(3)]
    rows = [{x.numpy().tobytes() for x in torch.cat([x for x, _ in parts])} for parts in (given.shots, given.validation, tested)]
    assert len(set.union(*rows)) == sum(map(len, rows)) == 60 + 30 + 240
    assert [set(labels[part.numpy()].tolist()) for part in given.held_out] == [{c} for c in given.classes]
    assert lesson(1001).classes != given.classes


def test_the_network_knows_its_first_classes_and_says_nothing_of_new_ones():
    given = lesson()
    assert given.base_accuracy > 0.6
    assert not given.net(given.shots[0][0]).any()


def test_meta_training_moves_features_and_no_read_out_and_one_episode_is_a_third_of_its_way():
    draws = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 1, 8, 8, generator=draws), torch.arange(4).repeat_interleave(10)
    given = lesson().net
    moved = [fs.copy.deepcopy(given) for _ in range(2)]
    fs.meta_train(moved[0], x, y, 0, torch.Generator().manual_seed(1))
    fs.meta_train(moved[1], x, y, 1, torch.Generator().manual_seed(1))
    names = [name for name, _ in given.named_parameters()]
    changed = {name for name in names if not torch.equal(moved[1].state_dict()[name], given.state_dict()[name])}
    assert all(torch.equal(moved[0].state_dict()[name], given.state_dict()[name]) for name in names)
    assert changed == {name for name in names if not name.startswith("readout")}


def test_heads_are_masked_to_the_tasks_in_the_batch():
    scores = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    one, both = torch.tensor([2, 3, 3, 2]), torch.tensor([2, 5, 3, 4])
    torch.testing.assert_close(fs.within_tasks(scores, one), cross_entropy(scores[:, 2:4], one - 2))
    torch.testing.assert_close(fs.within_tasks(scores, both), cross_entropy(scores[:, 2:], both - 2))


def test_gradients_are_clipped_to_norm_one_and_smaller_ones_left():
    for length, step in ((10.0, 0.1), (0.5, 0.05)):
        weight = torch.nn.Parameter(torch.zeros(4))
        weight.grad = torch.full((4,), length / 2)
        fs.descent(0.1)([weight]).step()
        assert float(weight.detach().norm()) == pytest.approx(step, rel=1e-4)


def test_arms_are_made_as_they_say():
    pair, single = fs.strategy(arm("fast_slow")), fs.strategy(arm("ewc"))
    assert isinstance(pair, FastSlowWeights)
    assert not isinstance(single, FastSlowWeights)
    assert isinstance(single, EWC)
    assert (pair.strength, single.strength, pair.decay, single.decay) == (100.0, 100.0, 1.0, 1.0)
    assert fs.strategy(arm("no_penalty")).strength == 0
    assert fs.strategy(arm("reset")).slow_rate == 0
    assert fs.strategy(arm("off")).pull == 0
    assert fs.strategy(arm("ewc")).loss is fs.within_tasks
    assert fs.strategy(arm("ewc", heads=0.0)).loss is cross_entropy


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_what_is_asked_of_it(outcomes, name):
    found = numbers(outcomes[name])
    of_pairs = {"fast_slow_distance", "slow_start_distance"}
    missing = {
        "prototypes": of_pairs | {"few_shot"},
        "fast_slow": set(),
        "reset": set(),
        "no_penalty": set(),
        "off": of_pairs | {"kept"},
    }.get(name, of_pairs)
    assert set(found) == set(study.metrics) - missing
    assert all(math.isfinite(value) for value in found.values())


def test_arms_have_the_same_steps_pictures_and_weights_and_joint_has_all_pictures(outcomes):
    size = sum(one.numel() for one in lesson().net.parameters())
    for name in ("fast_slow", "ewc", "sequential", "no_penalty", "reset"):
        assert [outcomes[name][one] for one in ("steps", "samples", "parameters")] == [90, 30, size]
    assert outcomes["joint"]["samples"] == 10 * (1 + 2 + 3)
    assert outcomes["fast_slow"]["kept"] == 3 * size
    assert outcomes["ewc"]["kept"] == 2 * size


def test_off_is_the_control_and_slow_weights_move_unless_reset(outcomes):
    assert numbers(outcomes["off"]) == {name: value for name, value in numbers(outcomes["ewc"]).items() if name != "kept"}
    assert outcomes["reset"]["slow_start_distance"] == 0
    assert outcomes["fast_slow"]["slow_start_distance"] > 0
    assert outcomes["fast_slow"]["moved"].y[0] == outcomes["fast_slow"]["apart"].y[0] == 0


def test_prototypes_are_nearest_means_in_numpy(outcomes):
    given, (images, *_) = lesson(), fs._photographs("digits", 8)
    features = [
        [torch.relu(given.net.hidden(given.net.blocks(x).flatten(1))).detach().double().numpy() for x, _ in parts]
        for parts in (given.shots, fs.tasks(images, given.held_out))
    ]
    means = np.concatenate([[part[:5].mean(0), part[5:].mean(0)] for part in features[0]])
    right = [np.square(part[:, None] - means).sum(2).argmin(1) == np.repeat([2 * k, 2 * k + 1], 40) for k, part in enumerate(features[1])]
    assert outcomes["prototypes"]["accuracy"] == pytest.approx(np.mean(right), abs=0.01)


def test_distance_is_relative_to_the_second():
    a, b = {"w": torch.tensor([3.0, 4.0]), "v": torch.tensor([2.0])}, {"w": torch.tensor([0.0, 4.0]), "v": torch.tensor([3.0])}
    assert fs.distance(a, b) == pytest.approx(math.sqrt(10) / 5)


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("fast_slow", "ewc")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
