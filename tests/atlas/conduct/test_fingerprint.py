"""The hash of code from memory: the same as from the files, whatever happened to them or to the memory in between; fast."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.catalogue import rows, study_path
from neuropil.atlas.conduct import syntax
from neuropil.atlas.conduct.fingerprint import Remembered, code_hash
from neuropil.atlas.conduct.syntax import Memory

STUDY = '''
"""Study {number}."""
from neuropil.atlas import Study
from neuropil.cells import ALIF, LIF
from neuropil.learning import Backprop, fit
from neuropil.memory import WillshawMemory
from neuropil.networks import MLP
from neuropil.synapses import DelayedLinear
from helper import half

study = Study(slug="s{number}", fidelity="paper", arms={{"a": {number}}})


@study.trial
def trial(arm, budget, seed):
    """Compute."""
    return {{"score": half({number})}}
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "helper.py").write_text("def half(x):\n    return x / 2\n")
    for number in range(3):
        (tmp_path / f"s{number}.py").write_text(STUDY.format(number=number))
    return tmp_path


@pytest.fixture(autouse=True)
def _settled(monkeypatch):
    """Here files are young."""
    monkeypatch.setattr(syntax, "_SETTLED", 0)


def remembered(path: Path, files: list[Path]) -> list[str]:
    memory = Memory(path)
    code = Remembered(memory)
    found = [code.code_hash(file) for file in files]
    memory.save()
    return found


def test_it_is_the_hash_of_the_files_for_every_study_of_the_atlas(tmp_path):
    files = [file for row in rows() if (file := study_path(row.slug))]
    assert len(files) >= 8
    expected = [code_hash(file) for file in files]
    assert remembered(tmp_path / "memory.json", files) == expected
    assert remembered(tmp_path / "memory.json", files) == expected


def test_from_memory_no_file_is_read(folder, monkeypatch):
    files = sorted(folder.glob("s*.py"))
    first = remembered(folder / "memory.json", files)
    assert len(set(first)) == 3

    def refuse(path):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(syntax, "facts", refuse)
    monkeypatch.setattr(syntax, "tree", refuse)
    assert remembered(folder / "memory.json", files) == first


@pytest.mark.parametrize("changed", ["s1.py", "helper.py"])
def test_a_change_is_seen_and_a_docstring_is_none(folder, changed):
    file, target = folder / "s1.py", folder / changed
    before = remembered(folder / "memory.json", [file])
    target.write_text('"""Other words."""\n' + target.read_text().replace('"""Study 1."""', "# said otherwise"))
    assert remembered(folder / "memory.json", [file]) == before == [code_hash(file)]
    target.write_text(target.read_text().replace("/ 2", "/ 3").replace("half(1)", "half(7)"))
    after = remembered(folder / "memory.json", [file])
    assert after != before
    assert after == [code_hash(file)]


def test_a_change_that_keeps_size_and_time_is_seen(folder):
    target, file = folder / "helper.py", folder / "s1.py"
    written = target.stat().st_mtime_ns
    before = remembered(folder / "memory.json", [file])
    target.write_text(target.read_text().replace("/ 2", "/ 3"))
    os.utime(target, ns=(written, written))
    assert target.stat().st_mtime_ns == written
    assert remembered(folder / "memory.json", [file]) != before


def test_a_file_that_was_just_written_is_not_yet_remembered(folder, monkeypatch):
    monkeypatch.setattr(syntax, "_SETTLED", 3_600_000_000_000)
    remembered(folder / "memory.json", [folder / "s1.py"])
    assert str(folder / "s1.py") not in (folder / "memory.json").read_text()


def test_a_new_module_that_hides_another_is_seen(folder):
    file = folder / "s1.py"
    before = remembered(folder / "memory.json", [file])
    (folder / "helper.py").rename(folder / "other.py")
    without = remembered(folder / "memory.json", [file])
    (folder / "helper").mkdir()
    (folder / "helper" / "__init__.py").write_text("def half(x):\n    return 0\n")
    hidden = remembered(folder / "memory.json", [file])
    assert len({*before, *without, *hidden}) == 3
    assert hidden == [code_hash(file)]


@pytest.mark.parametrize(
    "damage", [lambda text: text[: len(text) // 2], lambda text: text.replace('"s1"', '"s2"', 1) + " ", lambda _: "", lambda _: "{}"]
)
def test_a_memory_that_is_torn_counts_for_nothing(folder, damage):
    path, files = folder / "memory.json", sorted(folder.glob("s*.py"))
    before = remembered(path, files)
    path.write_text(damage(path.read_text()))
    assert remembered(path, files) == before
    assert remembered(path, files) == before


def test_bytes_that_are_no_text_count_for_nothing(folder):
    path = folder / "memory.json"
    path.write_bytes(b"\xff\xfe\x00")
    assert remembered(path, [folder / "s1.py"]) == [code_hash(folder / "s1.py")]


def test_a_cache_that_cannot_be_written_is_no_error(folder):
    (folder / "blocked").write_text("")
    assert remembered(folder / "blocked" / "memory.json", [folder / "s1.py"]) == [code_hash(folder / "s1.py")]


def test_what_two_learned_is_joined(folder):
    path = folder / "memory.json"
    one, other = Memory(path), Memory(path)
    Remembered(one).code_hash(folder / "s0.py")
    Remembered(other).code_hash(folder / "s1.py")
    one.save()
    other.save()
    assert {str(folder / "s0.py"), str(folder / "s1.py")} <= set(Memory(path)._files)


def _write_often(path: Path, file: Path) -> None:
    syntax._SETTLED = 0
    for turn in range(20):
        memory = Memory(path)
        memory.remember(f"{file.name} {turn}", Remembered(memory).code_hash(file))
        memory.save()


def test_writers_at_once_leave_a_whole_memory(folder):
    path, files = folder / "memory.json", sorted(folder.glob("s*.py"))
    workers = [multiprocessing.get_context("spawn").Process(target=_write_often, args=(path, file)) for file in files]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        if path.exists():
            assert Memory(path)._files
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert not list(folder.glob(".memory*"))
    assert remembered(path, files) == [code_hash(file) for file in files]


def test_a_file_that_is_no_python_is_one_sentence(folder):
    (folder / "s1.py").write_text("study = (\n")
    with pytest.raises(AtlasError, match=r"s1\.py is not valid Python \(line 1"):
        remembered(folder / "memory.json", [folder / "s1.py"])


def test_355_studies_take_less_than_two_seconds(folder):
    for number in range(355):
        (folder / f"s{number}.py").write_text(STUDY.format(number=number))
    files = sorted(folder.glob("s*.py"))
    first = remembered(folder / "memory.json", files)
    began = time.process_time()
    assert remembered(folder / "memory.json", files) == first
    assert time.process_time() - began < 2
    assert len(set(first)) == 355
