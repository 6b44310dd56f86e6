"""Ledger, result and table of seeds agree, wherever a run was killed between them; the ledger heals what a crash left of its last line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from neuropil.atlas import AtlasError
from neuropil.atlas.conduct.keeping import numbers
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.local import Local
from neuropil.atlas.conduct.refresh import Refreshed, refresh
from neuropil.atlas.conduct.registration import read
from neuropil.atlas.conduct.result import per_seed_csv
from neuropil.atlas.files import committed_results, read_json
from neuropil.cli import main
from neuropil.data.content import DataError

DIE_AT = """
import fcntl, os, pathlib, sys
left = int(sys.argv.pop(1))
def counted(function):
    def call(*given, **named):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        return function(*given, **named)
    return call
for where, name in ((os, "fsync"), (pathlib.Path, "replace"), (fcntl, "flock"), (os, "write")):
    setattr(where, name, counted(getattr(where, name)))
from neuropil.cli import main
main(["run", "mini.py", "--jobs", "1"])
"""


@pytest.fixture
def ready(bench):
    bench.tune()
    bench.register()
    bench.commit()
    return bench


def agree(folder: Path) -> bool:
    """Whether the last run that the ledger calls finished is the result, and the table of seeds the result's."""
    result = read_json(folder / "result.json")
    finished = [entry for entry in Ledger(folder).entries() if entry["event"] == "finished"]
    return finished[-1]["numbers"] == numbers(result) and (folder / "seeds.csv").read_text() == per_seed_csv(result)


def told(result: dict) -> dict:
    plain = json.loads(json.dumps(result))
    for arm in plain["arms"].values():
        arm["cost"].pop("seconds")
    return {name: value for name, value in plain.items() if name != "provenance"}


def died(bench, code: str, *words: str) -> bool:
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=bench.folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 9), done.stderr
    return done.returncode == 9


@pytest.mark.parametrize("before", ["write_result", "write_text"])
def test_a_run_killed_between_ledger_result_and_table_is_mended_by_the_next(ready, before):
    code = f"import os, neuropil.atlas.conduct.keeping as k\nk.{before} = lambda *_: os._exit(9)\n"
    assert died(ready, code + "from neuropil.cli import main; main(['run', 'mini.py'])")
    assert Ledger(ready.results).entries()[-1]["event"] == "finished"
    assert (ready.results / "result.json").exists() is (before == "write_text")
    assert not (ready.results / "seeds.csv").exists()
    found = refresh(ready.source, digests=lambda _: {}, store=ready.store)
    assert found.state == ("pending" if before == "write_result" else "fresh")
    ready.run()
    assert agree(ready.results)
    assert Ledger(ready.results).looks() == 1


def test_a_result_older_than_the_ledger_is_pending_and_a_torn_table_is_written_again(ready):
    ready.run()
    (ready.results / "seeds.csv").write_text("arm,seed\n")
    assert refresh(ready.source, digests=lambda _: {}, store=ready.store).state == "fresh"
    assert agree(ready.results)
    last = Ledger(ready.results).entries()[-1]
    facts = {name: last[name] for name in ("registration", "code", "budget", "seeds", "verdict")}
    Ledger(ready.results).append("finished", **facts, numbers="of a run that was killed before it wrote them")
    found = refresh(ready.source, digests=lambda _: {}, store=ready.store)
    assert (found.state, found.said) == ("pending", "the ledger's last run at registration 1 was stopped before its result was written")
    ready.run()
    assert agree(ready.results)


@pytest.mark.slow
def test_a_reporting_run_that_dies_at_each_of_its_writes(ready, tmp_path_factory):
    whole = tmp_path_factory.mktemp("whole") / "bench"
    shutil.copytree(ready.folder, whole)
    subprocess.run([sys.executable, "-m", "neuropil", "run", "mini.py"], cwd=whole, check=True, capture_output=True)
    moment = 1
    while died(ready, DIE_AT, str(moment)):
        assert Ledger(ready.results).looks() <= 1
        moment += 1
    assert moment > 12
    assert agree(ready.results)
    found, expected = (read_json(folder / "result.json") for folder in (ready.results, whole / "results" / "mini"))
    assert told(found) == told(expected)
    assert (ready.results / "seeds.csv").read_bytes() == (whole / "results" / "mini" / "seeds.csv").read_bytes()


def test_a_registration_killed_before_the_ledger_had_it_was_never_one(ready):
    ready.run()
    ready.commit()
    ready.write(("delta=0.02, match", "delta=0.03, match"))
    code = (
        "import os, neuropil.atlas.conduct.registration as r\nr.Ledger.append = lambda *_, **__: os._exit(9)\n"
        "from neuropil.cli import main; main(['register', 'mini.py', '--amend', 'finer'])"
    )
    assert died(ready, code)
    with pytest.raises(AtlasError, match="is not the one the ledger records; register again"):
        ready.run()
    with pytest.raises(AtlasError, match="a change after a look is an amendment"):
        ready.register()
    made = ready.register(amend="the margin was too fine")
    assert (made.number, made.amends) == (2, "the margin was too fine")
    assert read(ready.results).hash == made.hash
    ready.commit()
    assert ready.run()["looks"] == {"this": 2, "of": 2}


def test_a_tuning_killed_before_the_ledger_had_it_is_tuned_again_from_its_cells(bench):
    code = "import os, neuropil.atlas.conduct.tuning as t\nt.Ledger.append = lambda *_, **__: os._exit(9)\n"
    assert died(bench, code + "from neuropil.cli import main; main(['tune', 'mini.py'])")
    with pytest.raises(AtlasError, match="not a tuning that the ledger records; restore it from git, or run"):
        bench.register()
    bench.tune()
    assert bench.register().number == 1


@pytest.mark.parametrize("left", ['{"event": "ü'.encode()[:-1], b"\0" * 512, b"{", b'{"event": "started"}'])
def test_what_a_crash_left_of_a_last_line_is_dropped(tmp_path, left):
    ledger = Ledger(tmp_path)
    ledger.append("registered", registration=1, reason="ümläut")
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + left)
    assert [entry["event"] for entry in ledger.entries()] == ["registered"]
    ledger.append("started", registration=1)
    assert [entry["event"] for entry in ledger.entries()] == ["registered", "started"]
    assert ledger.path.read_bytes().startswith(whole)


@pytest.mark.parametrize("line", [b"\xff\xfe\n", b"\0\0\n", b"3\n", b"\n", b'{"hash": 1}\n'])
def test_a_whole_line_that_is_no_entry_is_refused(tmp_path, line):
    ledger = Ledger(tmp_path)
    ledger.append("registered", registration=1)
    ledger.path.write_bytes(ledger.path.read_bytes() + line)
    with pytest.raises(AtlasError, match="restore it from git"):
        ledger.entries()
    with pytest.raises(AtlasError, match="restore it from git"):
        ledger.append("started", registration=1)


def test_a_full_disk_leaves_the_ledger_whole(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path)
    ledger.append("registered", registration=1)
    whole, write = ledger.path.read_bytes(), os.write

    def a_few_bytes_fit(handle, line):
        if len(line) < 40:
            raise OSError(28, "No space left on device")
        return write(handle, line[:40])

    monkeypatch.setattr(os, "write", a_few_bytes_fit)
    with pytest.raises(AtlasError, match="The disk is full"):
        ledger.append("started", registration=1)
    assert ledger.path.read_bytes() == whole


RESULTS = sorted(committed_results().glob("*/result*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_committed_result_agrees_with_its_table_and_its_ledger(path):
    result = read_json(path)
    number = result["registration"]["number"]
    table = path.with_name(path.name.replace("result", "seeds").replace("json", "csv"))
    assert table.read_text() == per_seed_csv(result)
    finished = [e for e in Ledger(path.parent).entries() if e["event"] == "finished" and e["registration"] == number]
    assert finished[-1]["numbers"] == numbers(result)


@pytest.mark.parametrize(("raised", "code"), [(AtlasError("Its data are not here."), 1), (typer.Exit(3), 3)])
def test_refresh_goes_on_after_a_run_that_fails_or_withholds_its_verdict(ready, monkeypatch, raised, code):
    monkeypatch.chdir(ready.folder)
    asked = []

    def run(reference, **_):
        asked.append(reference)
        raise raised

    monkeypatch.setattr("neuropil.cli.conduct.run", run)
    with pytest.raises(SystemExit) as ended:
        main(["refresh", "mini.py", "mini.py"])
    assert (ended.value.code, asked) == (code, ["mini.py", "mini.py"])


@pytest.mark.parametrize("raised", [AtlasError("It cannot be read."), DataError("Its data are not here.")])
def test_refresh_names_a_study_that_cannot_be_examined_and_goes_on(ready, monkeypatch, capsys, raised):
    monkeypatch.chdir(ready.folder)
    asked = []

    def examine(source, **_):
        asked.append(source.slug)
        if len(asked) == 1:
            raise raised
        return Refreshed(source, "fresh", "as it was")

    monkeypatch.setattr("neuropil.atlas.conduct.refresh.refresh", examine)
    with pytest.raises(SystemExit) as ended:
        main(["refresh", "mini.py", "mini.py"])
    said = capsys.readouterr()
    assert (ended.value.code, asked) == (1, ["mini", "mini"])
    assert f"mini was not examined: {raised}" in said.err
    assert "mini: fresh" in said.out


def test_a_dry_refresh_writes_nothing_and_says_what_would_be(ready):
    ready.run()
    ready.write(("0.5 + arm.boost", "0.5 + 1 * arm.boost"))
    (ready.results / "seeds.csv").write_text("arm,seed\n")
    before = {path: path.read_bytes() for path in ready.results.iterdir()}
    found = refresh(ready.source, digests=lambda _: {}, store=ready.store, dry=True)
    assert found.state == "would be carried"
    assert "seeds.csv is not the result's and would be written again" in found.said
    assert {path: path.read_bytes() for path in ready.results.iterdir()} == before
    assert refresh(ready.source, digests=lambda _: {}, store=ready.store).state == "carried"


def test_a_refresh_runs_its_smokes_on_the_place_that_is_named(ready):
    ready.run()
    ready.write(("0.5 + arm.boost", "0.5 + 1 * arm.boost"))
    asked = []

    class Named:
        def run(self, source, cells, store, *, alone):
            asked.extend(cell.budget.name for cell in cells)
            yield from Local(1).run(source, cells, store, alone=alone)

    assert refresh(ready.source, digests=lambda _: {}, store=ready.store, on=Named()).state == "carried"
    assert set(asked) == {"smoke"}
