"""Results side by side: pairs where that is sound, differences named, and no estimate passed off as a verdict."""

import copy
import json
import math

import pytest
from rich.console import Console
from scipy import stats

from neuropil.atlas import AtlasError
from neuropil.atlas.comparison.comparing import compare
from neuropil.atlas.comparison.layout import lay_out
from neuropil.atlas.comparison.reading import read_result
from neuropil.atlas.files import committed_results, write_json


@pytest.fixture
def ran(bench):
    return bench.run("desk", seeds=range(6)), bench


def registered(bench):
    bench.tune()
    bench.register()
    bench.commit()
    return bench.run()


def mean_row(found, arm, metric="score"):
    return next(row for row in found["means"] if (row["arm"], row["metric"]) == (arm, metric))


def test_the_same_run_twice_does_not_differ_and_is_paired_over_all_seeds(ran):
    one, bench = ran
    found = compare({"a": one, "b": bench.run("desk", seeds=range(6))})
    assert found["differences"] == []
    assert found["paired_seeds"] == 6
    assert mean_row(found, "boosted")["difference"] == {"mean": 0.0, "interval": [0.0, 0.0], "n": 6}
    assert found["not_comparable"] == [
        "All are exploratory: estimates on seeds that somebody chose, no verdicts, whatever their intervals say."
    ]


def test_means_and_intervals_are_students_and_differences_are_paired_by_seed(ran):
    one, bench = ran
    bench.write(("0.5 + arm.boost", "0.5 + 1.2 * arm.boost + 0.001 * seed.value"))
    two = bench.run("desk", seeds=[5, 4, 3, 2, 7])
    found = compare({"a": one, "b": two})
    first = mean_row(found, "boosted")["values"][0]
    values = one["arms"]["boosted"]["metrics"]["score"]
    low, high = stats.t.interval(0.95, 5, loc=sum(values) / 6, scale=stats.sem(values))
    assert first["mean"] == pytest.approx(sum(values) / 6)
    assert first["interval"] == pytest.approx([low, high])
    assert found["paired_seeds"] == 4
    difference = mean_row(found, "boosted")["difference"]
    assert difference["n"] == 4
    assert difference["mean"] == pytest.approx(0.02 + 0.001 * (2 + 3 + 4 + 5) / 4)
    spread = stats.sem([0.002, 0.003, 0.004, 0.005])
    assert difference["interval"][1] - difference["mean"] == pytest.approx(stats.t.ppf(0.975, 3) * spread)
    assert {row["what"] for row in found["differences"]} == {"seeds", "code"}


def test_other_budgets_data_and_studies_are_not_paired_and_the_reason_is_said(ran):
    one, bench = ran
    small = bench.run("glance", seeds=range(6))
    found = compare({"a": one, "b": small})
    assert found["paired_seeds"] == 0
    assert all(row["difference"] is None for row in found["means"])
    assert "Another budget (steps): an effect at one size is not the effect at another." in found["not_comparable"]
    assert {"what": "budget.steps", "values": [3, 2]} in found["differences"]
    other = copy.deepcopy(one)
    other["provenance"]["data"] = {"digits": "ab" * 32}
    other["slug"] = "mini-two"
    said = " ".join(compare({"a": one, "b": other})["not_comparable"])
    assert "Other data (digits)" in said
    assert "Other studies (mini and mini-two)" in said


def test_a_budget_of_another_name_and_the_same_settings_is_the_same_work(ran):
    one, bench = ran
    bench.write(('"glance": {"steps": 2}', '"glance": {"steps": 3}'))
    found = compare({"a": one, "b": bench.run("glance", seeds=range(6))})
    assert found["paired_seeds"] == 6


def test_a_verdict_beside_an_estimate_keeps_its_word_and_the_estimate_gets_none(ran):
    one, bench = ran
    found = compare({"a": one, "b": registered(bench)})
    assert [result["verdict"] for result in found["results"]] == [None, "supported"]
    assert [value["word"] for value in found["contrasts"][0]["values"]] == [None, "supported"]
    assert any(sentence.startswith("1 of 2 is exploratory") for sentence in found["not_comparable"])
    assert any(sentence.startswith("Other seeds") for sentence in found["not_comparable"])


def test_three_results_runs_that_never_got_there_and_arms_that_were_not_run(ran):
    one, bench = ran
    never = copy.deepcopy(one)
    never["arms"]["boosted"]["metrics"]["score"][2] = {"float": "inf"}
    few = bench.run("desk", seeds=range(6), arms=["boosted", "plain"])
    found = compare({"a": one, "b": never, "c": few})
    row = mean_row(found, "boosted")
    assert row["values"][1] == {"mean": None, "interval": None, "n": 6, "note": "1 of 6 never got there"}
    assert row["difference"] is None
    assert mean_row(found, "lesioned")["values"][2] is None
    assert found["contrasts"][1]["values"][2] is None
    json.dumps(found, allow_nan=False)
    for width in (40, 80, 160):
        console = Console(width=width, record=True)
        with console.capture() as capture:
            for block in lay_out(found):
                console.print(block)
        assert max(len(line) for line in capture.get().splitlines()) <= width
    assert "1 of 6 never got there" in capture.get()


def test_resplit_budgets_widen_the_intervals_as_a_verdict_would(ran):
    one, _ = ran
    wide = copy.deepcopy(one)
    wide["budget"]["resplit"] = [100, 50]
    narrow, wider = (mean_row(compare({"a": each, "b": one}), "plain")["values"][0]["interval"] for each in (one, wide))
    assert (wider[1] - wider[0]) / (narrow[1] - narrow[0]) == pytest.approx(math.sqrt((1 / 6 + 0.5) / (1 / 6)))


def test_one_result_is_not_compared(ran):
    with pytest.raises(AtlasError, match="takes two results or more, 1 was given"):
        compare({"a": ran[0]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.update(verdict={"word": "supported", "withheld": []}), "offers 'supported' as a verdict, and it is exploratory"),
        (
            lambda r: r.update(verdict={"word": "supported", "withheld": []}, exploratory=False),
            "offers 'supported' as a verdict, and it names no registration",
        ),
        (
            lambda r: r.update(
                verdict={"word": "supported", "withheld": []}, exploratory=False, registration={"hash": "ab", "n": 6, "number": 1}
            ),
            "and its seeds are not those that its registration gave",
        ),
        (lambda r: r["contrasts"][0].update(word="negligible"), "offers 'negligible' as a verdict, and it is exploratory"),
        (lambda r: r.update(exploratory=False), "offers 'no verdict' as a verdict, and it names no registration"),
        (lambda r: r.update(schema=2), "has the form 2 of a result, this neuropil reads 1"),
        (lambda r: r.pop("arms"), "is not the result of a study"),
    ],
)
def test_an_estimate_offered_as_a_verdict_and_other_forms_are_refused(ran, tmp_path, change, said):
    other = copy.deepcopy(ran[0])
    change(other)
    write_json(tmp_path / "r.json", other)
    with pytest.raises(AtlasError) as error:
        read_result(tmp_path / "r.json")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_list_and_a_missing_file_are_refused(tmp_path):
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(AtlasError, match="is not the result of a study"):
        read_result(tmp_path / "r.json")
    with pytest.raises(AtlasError, match="There is no file"):
        read_result(tmp_path / "none.json")


def test_every_committed_result_is_accepted():
    paths = sorted(path for path in committed_results().glob("*/result*.json"))
    assert len(paths) >= 8
    assert all(read_result(path)["verdict"]["word"] for path in paths)
