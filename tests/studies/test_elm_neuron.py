import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.studies.cells import elm_neuron
from neuropil.studies.cells.elm_neuron import study

SMOKE = Settings("smoke", study.budgets["smoke"])
TUNED = {"rate": 0.02, "tau": 30.0}  # of both arms alike


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **TUNED, **changed})


def shown(name, seeds=(1000,), **changed):
    return study.compute(arm(name), Settings("smoke", {**SMOKE, **changed}), [Seed(seed) for seed in seeds])


def test_the_sum_told_is_the_likeliest_of_two_digits_told_apart():
    logits = torch.randn(4, 5, 20, generator=torch.Generator().manual_seed(0))
    first, second = logits[..., :10].softmax(-1), logits[..., 10:].softmax(-1)
    chances = torch.zeros(4, 5, 19)
    for a in range(10):
        for b in range(10):
            chances[..., a + b] += first[..., a] * second[..., b]
    assert torch.equal(elm_neuron.told_sum(logits), chances.argmax(-1))


def test_each_speaker_is_unheard_by_as_many_nets():
    task = elm_neuron.make_task(Settings("smoke", {**SMOKE, "folds": 6}), Seed(1000))
    unheard = [int(task.digits.speaker[fold.unheard][0]) for fold in task.folds]
    assert unheard[::2] == unheard[1::2]
    assert sorted(unheard[::2]) == list(range(6))


def test_while_settings_are_chosen_nothing_is_said_of_who_is_tested():
    assert set(shown("log", validate=True)[0]) == {"validation_accuracy"}
    assert shown("log", validate=True)[0]["validation_accuracy"] == shown("log")[0]["known_accuracy"]


def test_time_constants_are_as_the_arms_say():
    log = elm_neuron.time_constants(arm("log"), SMOKE) / SMOKE.bin
    torch.testing.assert_close(log[[0, -1]], torch.tensor([1.0, 30.0]))
    torch.testing.assert_close(log[1:] / log[:-1], (log[1] / log[0]).expand(5))
    off = elm_neuron.time_constants(arm("off"), SMOKE)
    torch.testing.assert_close(off, torch.full((6,), elm_neuron.time_constants(arm("common"), SMOKE)))


def test_what_memories_hold_is_what_they_were_given():
    generator, mixing = torch.Generator().manual_seed(0), torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    placed = torch.randn(10, 3, generator=torch.Generator().manual_seed(2))

    def heard(n):
        x, digits = torch.randn(1, 4, n, 3, generator=generator), torch.randint(10, (1, n, 2), generator=generator)
        moments, firsts = x[:, 2] @ mixing, 5 * placed[digits[..., 0]]
        return elm_neuron.Heard(digits, torch.zeros(1, n, 20), moments, x), elm_neuron.Heard(digits, torch.zeros(1, n, 20), firsts, x)

    (fitted, fitted_digits), (tested, tested_digits) = heard(400), heard(300)
    curve = elm_neuron.held(fitted, tested, 0)
    assert curve[1] > 0.99  # the last but one of four moments
    assert max(curve[0], *curve[2:]) < 0.1
    assert elm_neuron.digit_held(fitted_digits, tested_digits, 0) > 0.2 > elm_neuron.digit_held(fitted, tested, 0)


def test_the_lesion_is_the_trained_net_with_one_time_constant():
    log, lesioned = shown("log")[0], shown("geometric")[0]
    assert log["tau_decades"] > 1
    assert lesioned["tau_decades"] == pytest.approx(0, abs=1e-6)
    assert lesioned["memories"] != log["memories"]
    assert shown("log")[0] == log  # the lesion left the trained nets as they were


def test_off_is_the_control_and_seeds_do_not_meet():
    off, control = shown("off")[0], shown("common")[0]
    for name, value in control.items():
        if isinstance(value, float):
            assert value == pytest.approx(off[name], abs=1e-6)
    together, alone = shown("log", seeds=(1000, 1001))[1], shown("log", seeds=(1001,))[0]
    assert together["known_accuracy"] == pytest.approx(alone["known_accuracy"], abs=0.02)


def test_marks_are_added_after_learning():
    assert shown("log", marks_steps=150, memory=16)[0]["known_accuracy"] > 0.5


def test_figures_draw_from_stored_results():
    table = Table([1000], {name: shown(name) for name in study.arms})
    for _, draw in study.figures.values():
        draw(table)
