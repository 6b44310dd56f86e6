"""A study's whole life: explore, tune, register, commit, run, look again, amend; and everything that is refused on the way."""

import json
import math
import os
import shutil

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.local import Local
from neuropil.atlas.conduct.refresh import refresh
from neuropil.atlas.conduct.registration import read
from neuropil.atlas.conduct.run import core_minutes, default_arms
from neuropil.atlas.conduct.tuning import overruled
from neuropil.atlas.files import alone, write_result


def stable(result):
    """A result without what may differ between two runs: clock times and the seconds of computing."""
    text = json.loads(json.dumps(result))
    text["provenance"].pop("at")
    text["provenance"].pop("seconds")
    text["provenance"].pop("commit")
    for arm in text["arms"].values():
        arm["cost"].pop("seconds")
    return text


def registered(bench):
    bench.tune()
    made = bench.register()
    bench.commit()
    return made


def test_the_whole_life_of_a_study(bench):
    with pytest.raises(AtlasError, match="is not registered"):
        bench.run()
    with pytest.raises(AtlasError, match="has no tuning"):
        bench.register()
    tuning = bench.tune()
    assert {tuple(point.values()) for point in tuning["chosen"].values()} == {(0.2,)}
    assert len(tuning["trials"]) == 2 * 3
    assert tuning["edges"] == []
    made = bench.register()
    assert 10 <= len(made.seeds) <= 30
    with pytest.raises(AtlasError, match="is not committed"):
        bench.run()
    bench.commit()
    assert made.frozen["power"]["reached"] >= 0.9

    result = bench.run()
    assert result["verdict"] == {"word": "supported", "statistics": "supported", "decided_by": 0, "withheld": []}
    assert [c["word"] for c in result["contrasts"]] == ["supported", None]
    primary = result["contrasts"][0]
    assert primary["effect"] == pytest.approx(0.1)
    assert primary["prediction"]["interval"][0] <= primary["effect"] <= primary["prediction"]["interval"][1]
    assert result["looks"] == {"this": 1, "of": 1}
    assert result["seeds"] == made.seeds
    assert result["contrasts"][1]["p_holm"] == result["contrasts"][1]["p"]
    assert "off" not in result["arms"]  # a pure off switch is checked at smoke, not paid for at desk
    assert [entry["event"] for entry in Ledger(bench.results).entries()] == ["tuned", "registered", "started", "finished"]
    assert (bench.results / "seeds.csv").read_text().count("\n") == 1 + 3 * len(made.seeds)

    # the same command again: no cell is run, nothing changes, it is still one look
    seen = []
    again = bench.run(watch=seen.append)
    assert all(done.found for done in seen)
    assert stable(again) == stable(result)
    assert Ledger(bench.results).looks() == 1

    # a change after a look is an amendment with new seeds; both results stay
    bench.commit()
    bench.write(("delta=0.02, match", "delta=0.03, match"))
    with pytest.raises(AtlasError, match="changed since its registration in primary"):
        bench.run()
    with pytest.raises(AtlasError, match="amendment with new seeds"):
        bench.register()
    second = bench.register(amend="the margin was too fine")
    assert second.number == 2
    assert not set(second.seeds) & set(made.seeds)
    bench.commit()
    later = bench.run()
    assert later["looks"] == {"this": 2, "of": 2}
    assert later["registration"]["amends"] == "the margin was too fine"
    assert {"result.json", "result-2.json"} <= {path.name for path in bench.results.iterdir()}


def test_a_registration_edited_by_hand_is_refused(bench):
    registered(bench)
    path = bench.results / "registration.json"
    record = json.loads(path.read_text())
    record["frozen"]["primary"][0]["delta"] = 0.001
    path.write_text(json.dumps(record))
    with pytest.raises(AtlasError, match="edited by hand"):
        bench.run()


def test_seeds_cannot_be_shopped_for(bench):
    made = registered(bench)
    path = bench.results / "registration.json"
    record = json.loads(path.read_text())
    record["seeds"][0] = made.seeds[0] + 1
    path.write_text(json.dumps(record))
    with pytest.raises(AtlasError, match="edited by hand"):
        read(bench.results)
    with pytest.raises(AtlasError, match="only a registered run"):
        bench.run(seeds=[made.seeds[0]])
    with pytest.raises(AtlasError, match="takes all arms"):
        bench.run(arms=["boosted", "plain"])


def test_registering_again_before_a_look_costs_nothing_and_after_code_changed_is_asked_for(bench):
    registered(bench)
    bench.write(("0.5 + arm.boost", "0.5 + 1 * arm.boost"))
    bench.commit()
    with pytest.raises(AtlasError, match="register again"):
        bench.run()
    assert bench.register().number == 1
    bench.commit()
    assert bench.run()["verdict"]["word"] == "supported"


def test_changed_code_is_carried_where_its_fingerprint_holds_and_stale_where_it_moved(bench):
    registered(bench)
    bench.run()
    digests = lambda source: {}  # noqa: E731
    assert refresh(bench.source, digests=digests, store=bench.store).state == "fresh"
    bench.write(("0.5 + arm.boost", "0.5 + 1 * arm.boost"))
    with pytest.raises(AtlasError, match="neuropil refresh"):
        bench.run()
    assert refresh(bench.source, digests=digests, store=bench.store).state == "carried"
    assert refresh(bench.source, digests=digests, store=bench.store).state == "fresh"
    with pytest.raises(AtlasError, match="changed since its registration in code; amend it"):
        bench.run()
    assert Ledger(bench.results).looks() == 1
    bench.write(("0.5 + arm.boost", "0.6 + arm.boost"))
    found = refresh(bench.source, digests=digests, store=bench.store)
    assert found.state == "stale"
    assert ".score was" in found.said


def test_results_do_not_depend_on_the_number_of_workers(bench):
    one = bench.run("desk", seeds=range(6), on=Local(1))
    bench.store.root = bench.folder / "other cells"
    two = bench.run("desk", seeds=range(6), on=Local(3))
    assert stable(one) == stable(two)
    assert one["verdict"] is None
    assert one["exploratory"]


def test_batched_seeds_are_one_cell(bench):
    single = bench.run("glance", seeds=range(5))
    bench.write(
        ("@study.trial\ndef trial(arm, budget, seed):", "def one(arm, budget, seed):"),
        (
            '"column")}\n',
            '"column")}\n\n\n@study.trials(batch=2)\ndef trials(arm, budget, seeds):\n    return [one(arm, budget, seed) for seed in seeds]\n',
        ),
    )
    seen = []
    batched = bench.run("glance", seeds=range(5), watch=seen.append)
    assert seen[-1].total == 2 * 3
    assert batched["arms"]["boosted"]["metrics"] == single["arms"]["boosted"]["metrics"]


def test_swapping_the_primary_arms_negates_the_estimate_exactly(bench):
    there = bench.run("glance", seeds=range(10))["contrasts"][0]
    bench.write(('primary=Contrast("boosted", "plain"', 'primary=Contrast("plain", "boosted"'))
    back = bench.run("glance", seeds=range(10))["contrasts"][0]
    assert back["effect"] == -there["effect"]
    assert back["interval"] == [-there["interval"][1], -there["interval"][0]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('Dose("boost", at_least=0.05)', 'Dose("boost", at_least=0.5)'), "dose"),
        (('"plain.score < 0.9"', '"plain.score < 0.1"'), "gate"),
        (('"lesioned": {"boost": -0.1}', '"lesioned": {"boost": 0.1}'), "lesion"),
        (('"samples": 10,', '"samples": 10 + (arm.name == "boosted"),'), "matched"),
    ],
)
def test_a_failed_audit_withholds_the_verdict(bench, change, reason):
    bench.write(change)
    registered(bench)
    verdict = bench.run()["verdict"]
    assert verdict["word"] == "descriptive"
    assert verdict["statistics"] == "supported"
    assert any(said.startswith(reason) for said in verdict["withheld"])


def test_an_unverifiable_text_never_gets_a_badge(bench):
    bench.write(('fidelity="paper"', 'fidelity="unverifiable"'))
    registered(bench)
    assert bench.run()["verdict"]["word"] == "unverifiable"


def test_too_little_power_makes_a_study_descriptive(bench):
    bench.write(("0.3 * seed", "(30 if arm.boost else 1) * seed"))
    registered(bench)
    verdict = bench.run()["verdict"]
    assert verdict["word"] == "descriptive"
    assert any(said.startswith("power") for said in verdict["withheld"])


def test_a_tuning_optimum_at_the_edge_blocks(bench):
    bench.write(('(arm.get("lr", 0.2) - 0.2)', '(arm.get("lr", 0.2) - 0.9)'))
    assert bench.tune()["edges"]
    with pytest.raises(AtlasError, match="grid's edge"):
        bench.register()


def test_what_a_run_will_cost_is_foretold_from_the_tuning(bench):
    record = bench.tune()
    assert set(record["seconds"]) == {"boosted", "plain"}
    study = bench.source.load()
    arms = default_arms(study, "desk")
    record["seconds"] = {"boosted": 9.0, "plain": 3.0}
    assert core_minutes(study, record, "desk", 20) == pytest.approx(20 * len(arms) * 6 / 60)


def test_an_arm_that_loses_what_it_states_to_the_tuning_of_another_is_named(bench):
    study = bench.source.load()
    chosen = bench.tune()["chosen"]
    assert overruled(study, chosen) == []
    bench.write(('"lesioned": {', '"lesioned": {"lr": 0.0, '))
    (said,) = overruled(bench.source.load(), chosen)
    assert said == f"lesioned: lr is {chosen['boosted']['lr']:g}, as boosted was tuned, and not 0.0"


def test_a_second_tuning_at_once_is_refused_by_the_name_of_the_first(bench):
    with alone(bench.results, "tuning"), pytest.raises(AtlasError, match=rf"pid {os.getpid()}\) is tuning {bench.results.name}; wait"):
        bench.tune()
    assert not (bench.results / "tuning.json").exists()
    assert bench.tune()["trials"]


def test_code_that_changed_since_tuning_is_tuned_again(bench):
    bench.tune()
    bench.write(("0.5 + arm.boost", "0.6 + arm.boost"))
    with pytest.raises(AtlasError, match="changed since it was tuned"):
        bench.register()


def test_strength_zero_must_be_the_control(bench):
    bench.write(('"off": {"boost": 0.0}', '"off": {"boost": 0.01}'))
    bench.tune()
    with pytest.raises(AtlasError, match="at strength 0"):
        bench.register()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('"boosted": {"boost": 0.1}', '"boosted": {"boost": 0.0}'), "the mechanism is not acting"),
        (('{"score": score,', '{"scor": score,'), "returned no 'score'"),
        (('{"score": score,', '{"score": float("nan"),'), "is NaN at seed"),
        (('{"score": score,', '{"score": 1 / 0,'), r"failed at seeds \(0,\) with ZeroDivisionError"),
        (('{"score": score,', '{"score": budget.width,'), "has no setting 'width'"),
        (('{"score": score,', '{"score": "high",'), "returned a str under 'score'"),
        (("    curve = Curve", "    raise SystemExit(3)\n    curve = Curve"), "with SystemExit: 3"),
        (("    curve = Curve", "    return None\n    curve = Curve"), "a NoneType came back"),
        (("[score] * budget.steps", '[float("nan")] * budget.steps'), "holds NaN"),
    ],
)
def test_a_broken_trial_is_one_sentence(bench, change, words):
    with pytest.raises(AtlasError, match=words):
        bench.write(change).run("glance")


def test_one_seed_has_no_interval(bench):
    result = bench.run("smoke")
    assert result["contrasts"][0]["interval"] is None
    assert result["contrasts"][0]["word"] is None
    assert math.isfinite(result["contrasts"][0]["effect"])
    json.dumps(result, allow_nan=False)


def test_a_corrupt_cell_is_run_again_and_gives_the_same(bench):
    first = bench.run("glance")
    victim = next(path for path in bench.store.root.rglob("*.json"))
    victim.write_text(victim.read_text()[:-20])
    assert stable(bench.run("glance")) == stable(first)
    assert len(bench.store.moved_aside) == 1


def tamper(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_power_cannot_be_edited(bench):
    registered(bench)
    tamper(bench.results / "registration.json", lambda r: r["frozen"]["power"].update(reached=0.1))
    with pytest.raises(AtlasError, match="edited by hand"):
        bench.run()


def test_tuning_cannot_be_edited(bench):
    bench.tune()
    tamper(bench.results / "tuning.json", lambda r: r["desk"]["chosen"]["plain"].update(lr=0.1))
    with pytest.raises(AtlasError, match="not a tuning that the ledger records"):
        bench.register()


def test_how_it_is_tuned_is_part_of_what_is_frozen(bench):
    bench.tune()
    bench.write(('follow={"lesioned": "boosted"}', 'follow={"lesioned": "plain"}'))
    with pytest.raises(AtlasError, match="how it is tuned changed"):
        bench.register()


@pytest.mark.parametrize("lost", ["last line", "ledger", "everything", "registration", "folder"])
def test_history_that_git_holds_cannot_be_dropped(bench, lost):
    registered(bench)
    bench.run()
    bench.commit()
    ledger = bench.results / "ledger.jsonl"
    if lost == "last line":
        ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[:2]))
    if lost in ("ledger", "everything"):
        ledger.unlink()
    if lost in ("registration", "everything"):
        (bench.results / "registration.json").unlink()
    if lost == "folder":
        shutil.rmtree(bench.results)
        with pytest.raises(AtlasError, match="restore"):
            bench.tune()
    with pytest.raises(AtlasError, match="restore"):
        bench.register()


def test_modules_beside_a_study_must_be_committed_too(bench):
    (bench.folder / "uncommitted.py").write_text("GAIN = 1.0\n")
    (bench.folder / ".gitignore").write_text("cells/\ncache/\nuncommitted.py\n")
    bench.write(("study = Study(", "from uncommitted import GAIN\n\nstudy = Study("))
    registered(bench)
    with pytest.raises(AtlasError, match=r"uncommitted.py is not committed"):
        bench.run()


def test_a_run_that_gives_other_numbers_is_another_look(bench, monkeypatch):
    bench.write(("score = 0.5", "score = float(__import__('os').environ.get('DRIFT', '0')) + 0.5"))
    registered(bench)
    assert bench.run()["looks"]["of"] == 1
    bench.store.root = bench.folder / "cells" / "fresh"
    assert bench.run()["looks"]["of"] == 1
    monkeypatch.setenv("DRIFT", "0.01")
    bench.store.root = bench.folder / "cells" / "drifted"
    assert bench.run()["looks"]["of"] == 2


def test_study_and_tuning_must_be_committed_too(bench):
    bench.tune()
    bench.register()
    bench.commit()
    bench.write(('"""A miniature study', '"""A small study'))
    with pytest.raises(AtlasError, match=r"mini.py is not committed"):
        bench.run()


def test_a_contrast_with_a_gate_of_its_own(bench):
    bench.write(
        (
            'on="score", delta=0.02, match="data"),\n    secondary',
            'on="score", delta=0.02, match="data", gate=("plain.score >= 0.9",)),\n    secondary',
        )
    )
    registered(bench)
    result = bench.run()
    assert result["verdict"]["word"] == "undecided"
    assert "Its own gate failed: asked plain.score >= 0.9" in result["contrasts"][0]["note"]


def test_the_contrast_that_decides_is_named(bench):
    two = 'primary=(Contrast("boosted", "plain", on="score", delta=0.02, match="data"), Contrast("lesioned", "plain", on="score", delta=0.02, match="data"))'
    bench.write(
        ('primary=Contrast("boosted", "plain", on="score", delta=0.02, match="data")', two),
        ('follow={"lesioned": "boosted"}', 'follow={"lesioned": "boosted"}, why="a test"'),
    )
    registered(bench)
    verdict = bench.run()["verdict"]
    assert (verdict["word"], verdict["decided_by"]) == ("reversed", 1)


def test_a_primary_arm_that_follows_says_why(bench):
    moved = (
        'arms=("boosted", "plain"), follow={"lesioned": "boosted"}',
        'arms=("boosted",), follow={"lesioned": "boosted", "plain": "boosted"}',
    )
    with pytest.raises(AtlasError, match=r"Tune\(why=...\) does not say why"):
        bench.write(moved).source.load()
    bench.write((moved[0], moved[1] + ', why="it replays"')).source.load()


def test_a_run_that_never_got_there_has_no_mean_cost_and_can_be_written(bench, tmp_path):
    bench.write(('"samples": 10,', '"samples": 10, "steps": float("inf") if arm.boost < 0 else 20.0,'))
    result = bench.run(seeds=[0, 1])
    write_result(tmp_path / "result.json", result)
    assert "steps" not in result["arms"]["lesioned"]["cost"]
    assert result["arms"]["plain"]["cost"]["steps"] == 20


def test_a_lesion_on_steps_reads_its_cap_from_the_budget(bench):
    bench.write(
        ('"boost": Metric("points")}', '"boost": Metric("points"), "reach": Metric("steps", kind="steps", better="lower", cap="most")}'),
        ('Lesion("lesioned")', 'Lesion("lesioned", on="reach")'),
        ('"desk": {"steps": 3}', '"desk": {"steps": 3, "most": 100}'),
        ('"samples": 10,', '"samples": 10, "reach": float("inf") if arm.boost < 0 else 20.0,'),
    )
    registered(bench)
    result = bench.run()
    lesion = next(check for check in result["checks"] if check["name"] == "lesion")
    assert lesion["passed"]
    assert result["verdict"]["word"] == "supported"
