"""A board's run: planted orders are found, seeds belong to nobody, fresh numbers are kept, changed parts alone run again."""

import json

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.board.result import committed, per_seed_csv, stale
from neuropil.atlas.conduct.plan import plan
from neuropil.atlas.seeds import EXPLORATORY_LIMIT


def test_planted_order_is_found_with_its_costs(bench):
    result, _ = bench.run()
    assert list(result["entries"]) == ["strong", "middle", "weak"]
    for place, (name, strength) in enumerate((("strong", 0.9), ("middle", 0.5), ("weak", 0.1)), 1):
        entry = result["entries"][name]
        assert (entry["rank"], entry["between"]) == (place, [place, place])
        assert entry["mean"] == pytest.approx(strength, abs=0.06)
        assert entry["costs"] == {"weights": [10] * 10, "pace": [1e-3] * 10}
    assert json.loads(json.dumps(result)) == result


def test_lower_is_better_and_a_shared_pool_widens(bench):
    easy, pool = bench.run()[0], bench.run("pool")[0]
    assert list(pool["entries"]) == ["weak", "middle", "strong"]
    assert pool["overlap"] == 0.5

    def width(result):
        low, high = result["entries"]["strong"]["interval"]
        return high - low

    assert width(pool) > 1.5 * width(easy)


def test_tuning_is_the_same_for_all_and_kept(bench):
    bench.part("late", "STRENGTH = 0.4\nRATE = 0.35\n")
    result, ran = bench.run()
    points = [{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}]
    for name, entry in result["entries"].items():
        assert [trial["point"] for trial in entry["tuning"]] == points
        assert all(len(trial["values"]) == 2 for trial in entry["tuning"])
        assert ran[name, "board"] == 3 * 2 + 10
    assert result["entries"]["strong"]["chosen"] == {"lr": 0.2}
    assert result["entries"]["strong"]["edges"] == []
    assert result["entries"]["late"]["chosen"] == {"lr": 0.3}
    assert result["entries"]["late"]["edges"] == ["lr"]


def test_seeds_follow_from_the_definition_and_not_from_the_entries(bench):
    first, _ = bench.run()
    assert len(first["seeds"]) == 10
    assert all(seed >= EXPLORATORY_LIMIT for seed in first["seeds"])
    bench.part("new", "STRENGTH = 0.3\n")
    assert bench.run()[0]["seeds"] == first["seeds"]
    bench.change("0.1, 0.2, 0.3", "0.1, 0.2, 0.4")
    assert not set(bench.run()[0]["seeds"]) & set(first["seeds"])


def test_a_new_part_runs_alone_and_all_are_ranked(bench):
    bench.run()
    bench.part("new", "STRENGTH = 0.3\n")
    assert stale(bench.source, bench.source.load().on("easy"), committed(bench.source, "easy")) == {"new": "it is new and was not run yet"}
    result, ran = bench.run()
    assert {name for name, budget in ran if budget == "board"} == {"new"}
    assert list(result["entries"]) == ["strong", "middle", "new", "weak"]


def test_what_is_fresh_is_not_run_again(bench):
    first, _ = bench.run()
    again, ran = bench.run()
    assert not ran
    assert again["entries"] == first["entries"]


def test_a_changed_part_is_stale_and_runs_again(bench):
    bench.run()
    bench.part("weak", "STRENGTH = 0.95\n")
    old = stale(bench.source, bench.source.load().on("easy"), committed(bench.source, "easy"))
    assert old == {"weak": "its own code or settings have changed"}
    result, ran = bench.run()
    assert {name for name, budget in ran if budget == "board"} == {"weak"}
    assert next(iter(result["entries"])) == "weak"


def test_code_that_changes_no_number_is_carried(bench):
    first, _ = bench.run()
    bench.part("weak", "STRENGTH = 0.2 / 2\n")
    bench.change("found = {}", "found = dict()")
    result, ran = bench.run()
    assert {budget for _, budget in ran} == {"smoke"}
    for name, entry in result["entries"].items():
        assert entry["scores"] == first["entries"][name]["scores"]
        assert [set(step) for step in entry["carried"]] == [{"from", "at"}]
    assert not stale(bench.source, bench.source.load().on("easy"), committed(bench.source, "easy"))


def test_a_part_taken_away_leaves_the_board(bench):
    bench.run()
    (bench.parts / "middle.py").unlink()
    assert stale(bench.source, bench.source.load().on("easy"), committed(bench.source, "easy")) == {
        "middle": "it is no entry of the board any more"
    }
    result, ran = bench.run()
    assert not ran
    assert list(result["entries"]) == ["strong", "weak"]
    assert result["entries"]["weak"]["rank"] == 2


def refusing(bench, name="weak"):
    bench.change(
        'grid={"lr"',
        f'refuses=lambda entry, task: "{name} is too weak for it" if entry.settings["part"] == "{name}" and task == "easy" else None,\n    grid={{"lr"',
    )


def test_an_entry_that_refuses_a_task_is_shown_and_not_run(bench):
    refusing(bench)
    result, ran = bench.run()
    assert list(result["entries"]) == ["strong", "middle"]
    assert result["refused"] == {"weak": "weak is too weak for it"}
    assert "weak" not in {name for name, _ in ran}
    assert not stale(bench.source, bench.source.load().on("easy"), result)
    other, ran = bench.run("pool")
    assert ran["weak", "board"]
    assert other["refused"] == {}
    with pytest.raises(AtlasError, match="No entry asked for can do easy: weak is too weak for it; name another with --entries"):
        bench.source.load().on("easy", ["weak"])


def test_an_entry_that_begins_to_refuse_leaves_and_one_that_no_longer_does_is_run(bench):
    before, _ = bench.run()
    refusing(bench)
    old = stale(bench.source, bench.source.load().on("easy"), before)
    assert old["weak"] == "it refuses this task now"
    result, ran = bench.run()
    assert {budget for _, budget in ran} == {"smoke"}  # the board's code has changed, and no number has
    assert list(result["entries"]) == ["strong", "middle"]
    bench.change('== "easy"', '== "hard"')
    again, ran = bench.run()
    assert {name for name, budget in ran if budget == "board"} <= {"weak"}
    assert again["entries"]["weak"]["scores"] == before["entries"]["weak"]["scores"]


def test_exploring_leaves_no_result(bench):
    explored, _ = bench.run(seeds=[0, 1, 2], entries=["strong", "weak"])
    assert not explored["committed"]
    assert explored["seeds"] == [0, 1, 2]
    assert committed(bench.source, "easy") is None
    on_board_seeds, _ = bench.run(entries=["strong"])
    assert not on_board_seeds["committed"]
    assert committed(bench.source, "easy") is None


def test_stored_numbers_and_csv_are_the_result(bench):
    result, _ = bench.run()
    assert committed(bench.source, "easy") == result
    lines = (bench.source.folder / "easy.csv").read_text().splitlines()
    assert lines[0] == "entry,seed,score,weights,pace"
    assert len(lines) == 1 + 3 * 10
    assert lines == per_seed_csv(result).splitlines()
    name, seed, score, *_ = lines[1].split(",")
    assert result["entries"][name]["scores"][result["seeds"].index(int(seed))] == float(score)


def test_a_failing_entry_is_one_sentence_and_the_rest_is_kept(bench):
    bench.part("broken", "STRENGTH = 1 / 0\n")
    with pytest.raises(AtlasError, match=r"arm 'broken' .*ZeroDivisionError: division by zero .*finished cells are kept"):
        bench.run()
    bench.part("broken", "STRENGTH = 0.7\n")
    result, ran = bench.run()
    assert {name for name, budget in ran if budget == "board"} == {"broken", "middle", "strong", "weak"}
    assert ran["strong", "board"] == 10
    assert result["entries"]["broken"]["rank"] == 2


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("STRENGTH = float('nan')\n", r"'score' of arm 'odd' is NaN"),
        ("STRENGTH = 'many'\n", r"failed .*with TypeError"),
    ],
)
def test_scores_that_are_no_numbers_are_refused(bench, part, says):
    bench.part("odd", part)
    with pytest.raises(AtlasError, match=says):
        bench.run()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name="mini"', 'name="Mini board"', "name 'Mini board' of a board is not usable"),
        ('kind="part",', 'kind="part", seeds=3,', "ranks on 10 seeds or more, 3 were given"),
        ('kind="part",', 'kind="part", tuning=(1, 2),', "Tuning seeds lie between 1000 and"),
        ('on="score", metric=Metric("points", floor', 'on="weights", metric=Metric("points", floor', "none of the costs"),
        ("@board.trial", "panel, board = board, 3\n\n\n@panel.trial", "defines no board"),
        ("from pathlib import Path", "import nothing_like_it", "needs nothing_like_it, which is not installed"),
        ("PARTS =", "PARTS = 1 / 0 #", r"could not be loaded \(line \d+, ZeroDivisionError"),
    ],
)
def test_a_board_that_cannot_be_is_refused_in_a_sentence(bench, old, new, says):
    bench.change(old, new)
    with pytest.raises(AtlasError, match=says):
        bench.source.load()


def test_no_number_is_kept_under_the_hash_of_a_part_that_was_edited_meanwhile(bench):
    origin = bench.source.on("easy")
    assay = origin.load()
    cells = plan(origin, assay, "board", list(assay.arms), [0], chosen={name: {"lr": 0.2} for name in assay.arms}, digests={})
    middle, strong, weak = sorted(cells, key=lambda cell: cell.arm.name)
    bench.compute(origin, strong)
    bench.part("middle", "STRENGTH = 0.7\n")
    with pytest.raises(AtlasError, match=r"middle\.py.*changed on disk"):
        bench.compute(origin, middle)
    assert bench.store.get(middle.key) is None
    bench.compute(origin, weak)
