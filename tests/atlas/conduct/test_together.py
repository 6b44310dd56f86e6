"""Two runs on one store, runs while the study is tuned or edited: the same numbers, nothing twice, nothing under the wrong name."""

import json
import os
import subprocess
import sys

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.conduct.local import Local
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.files import alone


def test_two_sweeps_at_once_share_the_work(sweeps):
    alone_gives = sweeps.numbers(range(8))
    outcomes = sweeps.outcomes()
    sweeps.forget()
    sweeps.tally.unlink()
    words = sweeps.words(range(8))
    running = [sweeps.start(words, nap=0.15), sweeps.start(words, nap=0.15)]
    said = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    begun = [line.rsplit(" ", 1) for line in sweeps.tally.read_text().splitlines()]
    assert len(begun) == len({cell for cell, _ in begun}) == 32
    assert {parent for _, parent in begun} == {str(process.pid) for process in running}
    assert sweeps.outcomes() == outcomes
    assert sweeps.numbers(range(8)) == alone_gives


def test_a_cell_that_a_killed_run_held_is_not_waited_for(sweeps):
    words = sweeps.words([0], ("boosted",), jobs=1)
    first = sweeps.start(words, nap=60)
    while not sweeps.tally.exists():
        assert first.poll() is None
    second = sweeps.start(words)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(timeout=3)
    os.killpg(first.pid, 9)
    first.communicate()
    _, err = second.communicate(timeout=20)
    assert second.returncode == 0, err
    assert len(sweeps.cells) == 1


@pytest.mark.slow
def test_running_while_tuning(sweeps):
    expected = sweeps.numbers(range(6))
    sweeps.forget()
    tune = sweeps.start([sys.executable, "-m", "neuropil", "tune", "mini.py", "--jobs", "2"], nap=0.05)
    run = sweeps.start([*sweeps.words(range(6)), "--budget", "glance"], nap=0.05)
    for process in (tune, run):
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    (sweeps.bench.results / "tuning.json").unlink()
    assert sweeps.numbers(range(6)) == expected


def test_a_run_whose_settings_were_tuned_anew_meanwhile_is_refused(bench):
    def tune(_done):
        if not (bench.results / "tuning.json").exists():
            bench.tune()

    with pytest.raises(AtlasError, match="mini was tuned anew while it ran"):
        bench.run(seeds=range(2), watch=tune)


def test_two_reporting_runs_of_one_study_at_once_are_refused_by_name(bench):
    bench.tune()
    bench.register()
    bench.commit()
    with alone(bench.results, "running"), pytest.raises(AtlasError, match=rf"pid {os.getpid()}\) is running mini; wait"):
        bench.run()
    assert bench.run()["looks"]["of"] == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_edited_during_a_sweep_writes_no_cell_under_the_old_name(bench, jobs):
    expected = {arm: record["metrics"] for arm, record in bench.run(seeds=range(6))["arms"].items()}
    bench.store = Store(bench.folder / "others")
    before = bench.file.read_text()

    def edit(_done):
        bench.file.write_text(before.replace("score = 0.5", "score = 0.6"))

    with pytest.raises(
        AtlasError, match=r"mini.py, or a part that it imports, changed on disk while its cells were run; run the same again"
    ):
        bench.run(seeds=range(6), on=Local(jobs), watch=edit)
    kept = [json.loads(path.read_text())["payload"]["outcomes"][0]["score"] for path in bench.store.root.glob("??/*.json")]
    assert 1 <= len(kept) < 18
    assert set(kept) <= {score for metrics in expected.values() for score in metrics["score"]}
    bench.file.write_text(before)
    again = bench.run(seeds=range(6))
    assert {arm: record["metrics"] for arm, record in again["arms"].items()} == expected


def test_a_part_edited_after_it_was_imported_is_refused_by_name(bench):
    (bench.folder / "gains.py").write_text("GAIN = 1.0\n")
    bench.write(("study = Study(", "from gains import GAIN\n\nstudy = Study("), ("0.5 + arm.boost", "0.5 * GAIN + arm.boost"))
    bench.run("glance")
    (bench.folder / "gains.py").write_text("GAIN = 2.0\n")
    with pytest.raises(AtlasError, match=r"gains.py changed on disk after it was imported; run the same again \(in a notebook"):
        bench.run("glance")
    with pytest.raises(AtlasError, match=r"gains.py changed on disk"):
        bench.tune()


def test_a_study_edited_after_it_was_loaded_is_refused(bench):
    source, study = bench.source, bench.source.load()
    bench.write(("delta=0.02, match", "delta=0.03, match"))
    from neuropil.atlas.conduct.run import run

    with pytest.raises(AtlasError, match=r"mini.py changed on disk after it was imported"):
        run(source, study, "glance", digests={}, store=bench.store)
