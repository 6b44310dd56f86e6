"""Settings changed by hand: read as the kind they replace, said in the result, never part of a verdict."""

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.conduct.exploring import explore


def explored(bench, *words, budget="glance"):
    source = bench.source
    return explore(source, source.load(), budget, words)


def test_a_budgets_setting_and_arms_settings_are_replaced_and_named(bench):
    before = bench.source.load()
    study = explored(bench, "budget.steps=7", "arm.boosted.boost=0.3", "arms.lr=0.1")
    assert study.budgets["glance"]["steps"] == 7
    assert study.budgets["desk"]["steps"] == 3
    assert study.arms["boosted"] == {"boost": 0.3, "lr": 0.1}
    assert study.arms["plain"] == {"boost": 0.0, "lr": 0.1}
    assert study.arms["off"] == {"boost": 0.0}  # neither tuned nor following
    assert study.explored == {
        "budget.steps": 7,
        "arm.boosted.boost": 0.3,
        "arm.boosted.lr": 0.1,
        "arm.plain.lr": 0.1,
        "arm.lesioned.lr": 0.1,
    }
    assert before.explored == {}
    assert before.arms["boosted"] == {"boost": 0.1}


def test_a_run_says_what_was_set_and_has_other_numbers_and_other_cells(bench):
    plain = bench.run("glance")
    study = explored(bench, "arm.boosted.boost=0.3")
    from neuropil.atlas.conduct.run import run

    found = run(bench.source, study, "glance", digests={}, store=bench.store)
    assert plain["set"] == {}
    assert found["set"] == {"arm.boosted.boost": 0.3}
    assert found["exploratory"]
    assert found["verdict"] is None
    assert found["arms"]["boosted"]["settings"]["boost"] == 0.3
    assert found["contrasts"][0]["effect"] == pytest.approx(plain["contrasts"][0]["effect"] + 0.2)
    assert bench.run("glance")["arms"] == plain["arms"]


def test_what_tuning_chose_stays_unless_it_is_set(bench):
    bench.tune()
    assert explored(bench, "budget.steps=4", budget="desk").arms["boosted"]["lr"] == 0.2
    assert explored(bench, "arm.boosted.lr=0.3", budget="desk").arms["boosted"]["lr"] == 0.3


def test_a_changed_study_is_no_registered_one(bench):
    bench.tune()
    bench.register()
    bench.commit()
    from neuropil.atlas.conduct.run import run

    with pytest.raises(AtlasError, match=r"changed since its registration in .*budget"):
        run(bench.source, explored(bench, "budget.steps=4", budget="desk"), "desk", digests={}, store=bench.store)


@pytest.mark.parametrize(
    ("before", "word", "value"),
    [
        ("3", "5", 5),
        ("3.0", "5", 5.0),
        ("3.0", "1e-2", 0.01),
        ("True", "false", False),
        ("'a'", "b c", "b c"),
        ("(1, 2)", "[3, 4]", (3, 4)),
        ("[1]", "(3,)", [3]),
        ("None", "2", 2),
        ("None", "word", "word"),
    ],
)
def test_a_value_is_read_as_the_kind_it_replaces(bench, before, word, value):
    bench.write(('"glance": {"steps": 2}', f'"glance": {{"steps": 2, "x": {before}}}'))
    found = explored(bench, f"budget.x={word}").budgets["glance"]["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("before", "word", "said"),
    [
        ("3", "5.5", r"budget.x is a whole number, 3 in the study, and '5.5' was given"),
        ("3.0", "fast", "budget.x is a finite number"),
        ("3.0", "nan", "budget.x is a finite number"),
        ("3.0", "inf", "budget.x is a finite number"),
        ("True", "1", "budget.x is true or false"),
        ("(1, 2)", "3", "budget.x is a list of plain values"),
        ("(1, 2)", "({1}, 2)", "budget.x is a list of plain values"),
        ("{}", "3", "budget.x is a dict, which --set does not set"),
    ],
)
def test_a_value_of_another_kind_is_refused(bench, before, word, said):
    bench.write(('"glance": {"steps": 2}', f'"glance": {{"steps": 2, "x": {before}}}'))
    with pytest.raises(AtlasError, match=said):
        explored(bench, f"budget.x={word}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["budget.step=3"], "The budget glance of mini has no setting 'step'; the nearest is steps"),
        (["arm.boostd.boost=3"], "mini has no arm 'boostd'; the nearest is boosted"),
        (["arm.off.lr=3"], "The arm 'off' of mini has no setting 'lr'; there are boost"),
        (["arms.width=3"], "No arm of mini has a setting 'width'; there are lr, boost"),
        (["steps=3"], "--set 'steps=3' is not understood; write budget.NAME=VALUE"),
        (["budget.steps"], "is not understood"),
        (["arm.boosted=3"], "is not understood"),
        (["budget.steps=3", "budget.steps=4"], "sets budget.steps a second time; set it once"),
        (["arms.boost=3", "arm.off.boost=4"], "sets arm.off.boost a second time"),
    ],
)
def test_unknown_names_and_forms_are_refused_with_the_nearest(bench, words, said):
    with pytest.raises(AtlasError) as error:
        explored(bench, *words)
    assert said in str(error.value)
