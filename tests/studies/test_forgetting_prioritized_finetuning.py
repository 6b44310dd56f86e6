import math

import pytest
import torch
from torch import nn

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.continual import FineTuning, Scenario, learn
from neuropil.networks import BatchNormConvNet
from neuropil.studies.continual import forgetting_prioritized_finetuning as fpf
from neuropil.studies.continual.forgetting_prioritized_finetuning import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)
RANKED = {"same_modules", "rank_correlation", "contrast_of_change"}


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


def test_a_seed_is_the_mean_of_its_nets():
    several = Settings("smoke", {**SMOKE, "nets": 3})
    found = study.compute(arm("final"), several, [SEED])[0]
    each = [fpf.learned(arm("final"), several, Seed(SEED.axis(f"net {k}"))) for k in range(3)]
    for name in ("accuracy", "forgetting", "same_modules"):
        assert found[name] == pytest.approx(sum(one[name] for one in each) / 3)
    assert len({one["accuracy"] for one in each}) > 1
    assert list(found["course"].y) == pytest.approx([sum(ys) / 3 for ys in zip(*(one["course"].y for one in each), strict=True)])


def desk_net():
    return BatchNormConvNet(1, 14, 10, fpf.WIDTHS, fpf.KERNELS, torch.Generator().manual_seed(0))


def test_classes_are_balanced_and_parts_disjoint():
    train, validation, test = fpf._pictures(tuple(SMOKE.items()), 1000)
    assert train[1].bincount().tolist() == [32] * 10
    assert validation[1].bincount().tolist() == [10] * 10
    assert len(test[1]) == 600
    rows = [[tuple(x.flatten().tolist()) for x in part[0]] for part in (train, validation, test)]
    assert len({row for part in rows for row in part}) == 320 + 100 + 600


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics_and_is_deterministic(outcomes, name):
    found = numbers(outcomes[name])
    ranked = study.arms[name]["which"] in ("sensitive", "least")
    assert set(study.metrics) - set(found) == (set() if ranked and name != "off" else {"contrast_of_change"} if ranked else RANKED)
    assert all(math.isfinite(value) for value in found.values())
    assert dict(study.compute(arm(name), SMOKE, [SEED])[0]) == dict(outcomes[name])


def test_rounds_and_replay_take_equal_steps_on_equal_numbers_of_images(outcomes):
    steps = 20
    for name in ("sensitive", "all", "replay", "least", "final", "final_all", "permuted", "off"):
        assert outcomes[name]["steps"] == 2 * steps
        assert outcomes[name]["samples"] == 2 * 320
        assert outcomes[name]["parameters"] == outcomes["all"]["parameters"]
    assert (outcomes["statistics"]["steps"], outcomes["statistics"]["samples"]) == (steps, 2 * 320)
    assert (outcomes["sequential"]["steps"], outcomes["sequential"]["samples"]) == (steps, 320)


def test_off_is_all_and_choosing_is_not(outcomes):
    shared = set(numbers(outcomes["off"])) & set(numbers(outcomes["all"]))
    assert {name: outcomes["off"][name] for name in shared} == {name: outcomes["all"][name] for name in shared}
    found = {name: outcomes[name]["validation_accuracy"] for name in ("sensitive", "all", "replay", "least", "final", "statistics")}
    assert len({(found[name], outcomes[name]["accuracy"]) for name in found}) == len(found)


def test_no_rounds_at_all_are_the_librarys_sequential_training(outcomes):
    first = Seed(SEED.axis("net 0"))
    lesson = fpf.Lesson(SMOKE, first)
    course = learn(
        lesson.net,
        lesson.stream,
        FineTuning(lambda parameters: torch.optim.SGD(parameters, study.arms["sequential"]["rate"])),
        Scenario("class"),
        test=lambda k: lesson.stream.at(k, *lesson.pictures.test),
        batch_size=fpf.BATCH,
        generator=first.torch("batches"),
        progress=False,
    )
    none = study.compute(arm("sensitive", rounds=0), SMOKE, [SEED])[0]
    assert none["accuracy"] == outcomes["sequential"]["accuracy"] == course.metrics.average_accuracy


def test_the_lesion_changes_labels_and_nothing_else(outcomes):
    lesioned, whole = outcomes["permuted"], outcomes["sensitive"]
    for name in ("trained", "cost", "steps", "samples", "rank_correlation"):
        assert lesioned[name] == whole[name]
    several = Settings("smoke", {**SMOKE, "nets": 4})
    lesioned, whole = (study.compute(arm(name), several, [SEED])[0]["accuracy"] for name in ("permuted", "sensitive"))
    assert lesioned < whole - 0.1


def test_the_desks_leading_modules_are_under_a_fifth_and_the_least_are_as_many():
    sizes = {name: sum(one.numel() for one in own) for name, own in fpf.own_parameters(desk_net()).items()}
    assert tuple(sizes) == fpf.MODULES
    change = {name: float(len(fpf.ORDER) - place) for place, name in enumerate(fpf.ORDER)}
    leading = fpf.chosen_modules("sensitive", study.arms["sensitive"]["share"], change, sizes)
    least = fpf.chosen_modules("least", study.arms["least"]["share"], change, sizes)
    assert set(leading) == fpf.LEADING
    assert sum(sizes[name] for name in leading) == 562 < 0.2 * sum(sizes.values())
    assert least == ["blocks.conv2"]
    assert sizes["blocks.conv2"] >= 562
    assert not set(least) & set(leading)


def test_costs_by_hand():
    """14 x 14 halved to 7, 4 and 2: 9 * 12 * 49, 9 * 144 * 16 and 9 * 144 * 4 multiply-adds, and 480."""
    first, second, third, readout = 5292, 20736, 5184, 480
    forwards = first + second + third + readout
    for modules, backwards in (
        ([], 0),
        (["readout"], readout),
        (["blocks.conv3"], third + readout),
        (["blocks.norm1", "readout"], second + third + 2 * readout),
        (fpf.MODULES, forwards + second + third + readout),
    ):
        assert fpf.passes(desk_net(), modules) == forwards + backwards


def test_interruptions_come_every_so_many_steps_with_the_buffer():
    seen = []
    strategy = fpf.Interrupted(fpf.descent(0.1), lambda k, model, held: seen.append((k, len(held[0]))), 3, torch.Generator())
    model = nn.Linear(2, 2)
    state = strategy.init(model)
    for _ in range(10):
        state, _ = strategy.step(model, (torch.randn(4, 2), torch.zeros(4).long()), state)
    assert seen == [(0, 12), (1, 24), (2, 36)]


def test_sensitivity_is_recorded_four_times_a_task(monkeypatch):
    tasks = []
    monkeypatch.setattr(fpf.ModuleSensitivity, "record", lambda self, task: tasks.append(task))
    fpf.sensitivity.__wrapped__(tuple(SMOKE.items()), 1000, 0.1)
    assert tasks == [task for task in range(5) for _ in range(4)]


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("sensitive", "all")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
