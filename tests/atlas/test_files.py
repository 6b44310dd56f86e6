"""Nothing is half-written, nothing corrupt is read: files, store, ledger, code hashes."""

import errno
import os
import threading

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.conduct.fingerprint import agrees, code_hash, parts
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.files import read_json, results_folder, write_text


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(tmp_path, monkeypatch):
    target = tmp_path / "result.json"
    write_text(target, "old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(AtlasError, match=r"disk is full.*finished cells are kept"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_keeps_the_cells_that_were_finished(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.put("aa1", {"x": 1})
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(AtlasError, match="disk is full"):
        store.put("aa2", {"x": 2})
    assert store.get("aa1") == {"x": 1}
    assert store.get("aa2") is None


@pytest.mark.parametrize("damage", ["truncate", "flip", "other", "empty"])
def test_a_corrupt_cell_is_moved_aside_and_said(tmp_path, damage):
    store = Store(tmp_path)
    store.put("aa1", {"x": 0.25})
    path = store.path("aa1")
    text = path.read_text()
    path.write_text({"truncate": text[:-9], "flip": text.replace("0.25", "0.26"), "other": text.replace("aa1", "aa2"), "empty": ""}[damage])
    assert store.get("aa1") is None
    assert not path.exists()
    assert [aside.name for aside in store.moved_aside] == ["aa1.json"]
    assert store.moved_aside[0].exists()


def test_unreadable_json_says_what_to_do(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(AtlasError, match="not readable as JSON"):
        read_json(tmp_path / "x.json")
    with pytest.raises(AtlasError, match="does not exist"):
        read_json(tmp_path / "y.json")


@pytest.mark.parametrize(
    ("place", "advice"),
    [
        ("cache/cells/x.json", "name another with $NEUROPIL_CACHE."),
        ("results/mini/x.json", "name another with $NEUROPIL_RESULTS."),
        ("kept/boards/cells/x.json", "name another with $NEUROPIL_RESULTS."),
        ("page/x.html", "check that its folder is one that you may write to, or name another path."),
    ],
)
def test_what_cannot_be_written_gets_the_advice_that_fits(tmp_path, monkeypatch, place, advice):
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NEUROPIL_RESULTS", str(tmp_path / "kept"))
    (tmp_path / place.partition("/")[0]).write_text("a file where a folder should be")
    with pytest.raises(AtlasError) as raised:
        write_text(tmp_path / place, "x")
    assert str(raised.value).endswith(advice)


def test_the_ledger_is_append_only(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.append("registered", registration=1)
    ledger.append("started", registration=1, code="c")
    ledger.append("started", registration=1, code="c")
    assert ledger.looks() == 1
    ledger.append("finished", registration=1, code="c", numbers="n")
    ledger.append("finished", registration=1, code="c", numbers="n")
    assert ledger.looks() == 1
    ledger.append("finished", registration=1, code="c", numbers="others")
    assert ledger.looks() == ledger.looks(1) == 2
    assert ledger.looks(2) == 0
    lines = ledger.path.read_text().splitlines(keepends=True)
    for tampered in (lines[1:], lines[:1] + lines[2:], [lines[0].replace("registered", "undecided"), *lines[1:]], ["{}\n", *lines]):
        ledger.path.write_text("".join(tampered))
        with pytest.raises(AtlasError, match="append-only"):
            ledger.entries()


def test_a_line_cut_off_by_a_crash_was_never_an_entry(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.append("registered", registration=1, reason="ümläut")
    with ledger.path.open("a") as handle:
        handle.write('{"event": "star')
    assert len(ledger.entries()) == 1
    ledger.append("started", registration=1, code="c")
    assert [entry["event"] for entry in ledger.entries()] == ["registered", "started"]


def test_the_ledger_takes_many_writers(tmp_path):
    ledger = Ledger(tmp_path)
    threads = [threading.Thread(target=lambda: [Ledger(tmp_path).append("carried", code="x") for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.entries()) == 40


def test_docstrings_and_comments_do_not_move_the_code_hash_and_code_does(tmp_path):
    file = tmp_path / "s.py"

    def hashed(text: str) -> str:
        file.write_text(text)
        return code_hash(file)

    base = hashed('"""One."""\nimport os\n\n\ndef f(x):\n    """Two."""\n    return x + 1\n')
    assert hashed('"""Three."""\nimport os\n# a remark\n\ndef f(x):\n    return (x + 1)\n') == base
    assert hashed("import os\n\n\ndef f(x):\n    return x + 2\n") != base
    with pytest.raises(AtlasError, match="not valid Python"):
        hashed("def f(:\n")


def test_the_code_hash_covers_imported_parts_where_they_are_defined(tmp_path):
    file = tmp_path / "s.py"
    file.write_text("from neuropil.atlas import Study\nfrom neuropil.learning import fit\nfrom neuropil.data import load\n")
    found = set(parts(file))
    assert {"study", "neuropil.atlas.seeds", "neuropil.learning.fit", "neuropil.data.loading"} <= found
    assert not any(name.startswith("neuropil.atlas.conduct.run") for name in found)
    assert "neuropil.learning.forward_forward" not in found


def test_the_code_hash_covers_modules_beside_a_users_study(bench):
    (bench.folder / "helper.py").write_text("GAIN = 1.0\n")
    bench.write(("study = Study(", "from helper import GAIN\n\nstudy = Study("))
    before = bench.source.code
    assert bench.source.load().slug == "mini"
    (bench.folder / "helper.py").write_text("GAIN = 2.0\n")
    assert bench.source.code != before


def test_the_code_hash_covers_packages_and_relative_imports_beside_it(bench):
    package = bench.folder / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("from . import deeper\n")
    (package / "deeper.py").write_text("GAIN = 1.0\n")
    bench.write(("study = Study(", "from pkg import helper\n\nstudy = Study("))
    before = bench.source.code
    (package / "deeper.py").write_text("GAIN = 2.0\n")
    assert bench.source.code != before


def test_a_bare_import_counts_every_family(tmp_path):
    file = tmp_path / "s.py"
    file.write_text("import neuropil\n")
    assert {"neuropil.learning.fit", "neuropil.networks.mlp", "neuropil.plasticity"} <= set(parts(file))


def test_fingerprints_agree_to_rounding_only():
    old = {"a": {"x": 1.0, "y": 0.0}}
    assert agrees(old, {"a": {"x": 1.0 + 1e-6, "y": 0.0}}) == ""
    assert "a.x was 1 and is 1.01" in agrees(old, {"a": {"x": 1.01, "y": 0.0}})
    assert "a.x" in agrees(old, {"a": {"x": float("nan"), "y": 0.0}})
    assert "other metrics" in agrees(old, {"a": {"x": 1.0}})
    assert "arms differ" in agrees(old, {"b": {"x": 1.0}})


def test_results_lie_beside_the_study_whatever_the_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("NEUROPIL_RESULTS", raising=False)
    assert results_folder(tmp_path / "mine.py", "mine") == tmp_path / "results" / "mine"
    monkeypatch.setenv("NEUROPIL_RESULTS", "/elsewhere")
    assert str(results_folder(tmp_path / "mine.py", "mine")) == "/elsewhere/mine"
