import math

import pytest
import torch

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.data import FastMapping
from neuropil.studies.memory import fast_slow_word_learning as fs
from neuropil.studies.memory.fast_slow_word_learning import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found = numbers(outcomes[name])
    assert set(found) == set(study.metrics)
    assert all(math.isfinite(value) for value in found.values())


def test_a_trial_is_decided_by_its_seed(outcomes):
    fs.learnt.cache_clear()
    assert numbers(study.compute(arm("joint"), SMOKE, [SEED])[0]) == numbers(outcomes["joint"])
    assert numbers(study.compute(arm("joint"), SMOKE, [Seed(1001)])[0]) != numbers(outcomes["joint"])


def test_off_is_the_lstm_and_arms_differ(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["lstm"])
    courses = {name: tuple(outcomes[name]["course"].y) for name in ("dual", "joint", "oracle", "lstm")}
    assert len(set(courses.values())) == 4


def test_the_cross_terms_are_all_that_the_control_has_more(outcomes):
    more = outcomes["joint"]["parameters"] - outcomes["dual"]["parameters"]
    assert more == 64 * 32 + 32 * 64  # vision to keys, language to values
    at_desk = {}
    for store in ("dual", "joint"):
        model = fs.WordLearner(14 * 14, fs.WORDS + 2, store=store)
        at_desk[store] = sum(one.numel() for one in model.parameters())
    assert at_desk["joint"] / at_desk["dual"] < 1.05


def test_images_and_classes_are_apart():
    given = fs.tasks(SMOKE, SEED)
    assert sorted(given.known + given.held_out) == list(range(40))
    assert (len(given.known), len(given.held_out)) == (28, 12)
    assert fs.tasks(SMOKE, Seed(1001)).held_out != given.held_out
    seen = [{view.numpy().tobytes() for view in task.views[:, 1, 1]} for task in given[:3]]
    assert not seen[0] & seen[1]
    assert not (seen[0] | seen[1]) & seen[2]


def episodes():
    given = fs.tasks(SMOKE, SEED)
    return given.test.draw(200, 8, torch.Generator().manual_seed(0), among=given.held_out)


def test_permuted_words_name_the_next_object():
    e = episodes()
    p = fs.permute_words(e)
    naming = slice(0, 16, 2)
    assert torch.equal(p.heard[naming][:-1], e.heard[naming][1:])
    assert torch.equal(p.heard[14], e.heard[0])
    assert torch.equal(p.heard[1::2], e.heard[1::2])
    assert torch.equal(p.heard[16], e.heard[16])
    word = e.heard[16, :, : fs.WORDS].argmax(1)
    assert (p.heard[e.row, torch.arange(200), word] == 0).all()


def test_a_perfect_read_of_a_perfect_eye_is_right_and_dealt_anew_it_is_at_chance():
    """An agent whose codes are the word and the picture, on objects that are all their own: reading the right row it is always right."""
    images = torch.eye(64).reshape(64, 8, 8)
    task = FastMapping(images, torch.arange(64), words=fs.WORDS, silent=fs.SILENT, shift=0)
    e = task.draw(4000, 8, torch.Generator().manual_seed(0), among=range(64))
    model = fs.WordLearner(64, fs.WORDS + 2, store="dual", hidden=64, units=64, language=fs.WORDS + 2)
    with torch.no_grad():
        for layer in (*model.look.layers, *model.value.layers, *model.hear.layers, *model.key.layers):
            if isinstance(layer, torch.nn.Linear):
                layer.weight.copy_(torch.eye(len(layer.weight)))
        model.seek.layers.linear1.weight.zero_()
        model.ask.layers.linear1.weight.zero_()
        model.ask.layers.linear1.weight[: fs.WORDS, 64 : 64 + fs.WORDS] = 200.0 * torch.eye(fs.WORDS)
        own, told = fs.choose(model, e), fs.choose(model, e, oracle=True)
        dealt = fs.choose(model, e, dealt=torch.rand(4000, 16, generator=torch.Generator().manual_seed(1)).argsort(1))
    assert (own.logits.argmax(1) == e.place).all()
    torch.testing.assert_close(own.weights, fs.true_row(e))
    torch.testing.assert_close(told.logits, own.logits)
    assert (dealt.logits.argmax(1) == e.place).double().mean().item() == pytest.approx(1 / 8, abs=0.02)


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("dual", "joint")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
