"""The store: what is found in it is whole and one's own, whoever wrote it; what cannot be written is said, and nothing else is lost."""

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.conduct.store import FORMAT, Store
from neuropil.atlas.files import ABANDONED, sha256, sweep, write_text

MOUNTS = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode == 0


def record(key, payload, **more):
    return json.dumps({"key": key, "sha256": sha256(payload), "payload": payload} | more)


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store(tmp_path)
    made.put("aa1", {"x": 0.25})
    return made


def test_a_record_of_before_formats_is_read(store):
    store.path("aa1").write_text(record("aa1", {"x": 1}))
    assert store.get("aa1") == {"x": 1}


@pytest.mark.parametrize("newer", [record("aa1", {"x": 1}, format=FORMAT + 1), json.dumps({"format": FORMAT + 7, "other": []})])
def test_a_record_of_a_newer_neuropil_stays_where_it_is(store, newer):
    store.path("aa1").write_text(newer)
    with pytest.raises(AtlasError, match=r"was written by a newer neuropil \(its format is \d, this one reads up to 1\); update neuropil"):
        store.get("aa1")
    assert store.path("aa1").read_text() == newer
    assert store.moved_aside == []


@pytest.mark.parametrize(
    "garbage", [b"\xff\xfe\x00", b"[" * 100_000, b"[]", b"null", b'{"key": "aa1"}', b"\0" * 4096, record("aa1", [1]).encode()]
)
def test_garbage_is_moved_aside(store, garbage):
    store.path("aa1").write_bytes(garbage)
    assert store.get("aa1") is None
    assert [path.read_bytes() for path in store.moved_aside] == [garbage]


def test_a_good_cell_that_took_the_place_of_a_corrupt_one_is_not_lost(store, monkeypatch):
    good = store.path("aa1").read_bytes()
    store.path("aa1").write_bytes(b"torn")
    replace = Path.replace

    def another_process_was_quicker(self, target):
        if self == store.path("aa1"):
            self.write_bytes(good)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", another_process_was_quicker)
    assert store.get("aa1") == {"x": 0.25}
    assert store.path("aa1").read_bytes() == good
    assert store.moved_aside == []


def test_a_cell_that_may_not_be_read_is_no_corrupt_cell(store):
    store.path("aa1").unlink()
    store.path("aa1").mkdir()
    with pytest.raises(AtlasError, match=r"aa1.json could not be read or written \(Is a directory\); check "):
        store.get("aa1")
    assert store.path("aa1").is_dir()


def test_a_claim_is_held_against_other_processes_and_dies_with_its_own(store, tmp_path):
    code = "import sys, time\nfrom pathlib import Path\nfrom neuropil.atlas.conduct.store import Store\n"
    code += "with Store(Path(sys.argv[1])).claim('aa2', wait=False) as ours:\n    print(ours, flush=True)\n    time.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "True\n"
        with store.claim("aa2", wait=False) as ours:
            assert not ours
        with store.claim("aa3", wait=False) as ours:
            assert ours
        other.kill()
        with store.claim("aa2", wait=True) as ours:
            assert ours


def test_only_what_is_old_and_nobodys_is_swept(tmp_path):
    long_ago = time.time() - 2 * ABANDONED
    left, held, young = (tmp_path / f".{name}.json.x.part" for name in ("left", "held", "young"))
    for path in (left, held, young):
        path.write_text("half")
    (tmp_path / ".gitignore").write_text("cache/\n")
    for path in (left, held, tmp_path / ".gitignore"):
        os.utime(path, (long_ago, long_ago))
    with held.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert sweep(tmp_path) == [left]
    assert {path.name for path in tmp_path.iterdir()} == {held.name, young.name, ".gitignore"}


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "x.json", "whole")
    assert list(tmp_path.iterdir()) == []


def said(err: str) -> str:
    """The one sentence of a failed command."""
    lines = [line for line in err.splitlines() if line.startswith("neuropil:")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


def test_files_that_may_not_grow_are_one_sentence(sweeps):
    command = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *sweeps.words([0])]
    code, err = sweeps.finish(command)
    assert code == 1
    assert "could not be read or written (File too large)" in said(err)
    assert sweeps.cells == {}


@pytest.mark.skipif(not MOUNTS, reason="a file system of its own needs leave to mount one")
def test_a_full_disk_and_a_disk_that_may_not_be_written(sweeps):
    expected = sweeps.numbers(range(8))
    sweeps.forget()
    folder = sweeps.bench.folder / "cache"
    folder.mkdir()
    run = 'rm -f result.json; "$@" --json result.json; echo code $? >&2'
    script = f"mount -t tmpfs -o size=80k none {folder}; {run}; ls cache/cells/??/*.json | wc -l >&2; "
    script += f"mount -o remount,ro {folder}; {run}; mount -o remount,rw,size=10m {folder}; {run}"
    _, err = sweeps.finish(["unshare", "-rm", "sh", "-c", script, "sh", *sweeps.words(range(8))])
    full, read_only, enough = err.split("code ")[:3]
    assert [part[0] for part in err.split("code ")[1:]] == ["1", "1", "0"], err
    assert "The disk is full" in said(full)
    assert "finished cells are kept" in said(full)
    assert 1 <= int(read_only.split("\n")[1]) < 32
    assert "Read-only file system" in said(read_only)
    assert "neuropil:" not in enough
    result = json.loads((sweeps.bench.folder / "result.json").read_text())
    assert {arm: record["metrics"] for arm, record in result["arms"].items()} == {
        arm: record["metrics"] for arm, record in expected["arms"].items()
    }
