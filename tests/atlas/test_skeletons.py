"""Skeletons: names in all their forms, nothing overwritten, and what is written runs, passes its own tests and is clean."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.skeletons import TEMPLATES, Name, write_skeleton

KINDS = ["study", "cell", "strategy", "package"]


@pytest.mark.parametrize(
    ("given", "snake", "kebab", "camel", "sentence"),
    [
        ("slow-inhibition", "slow_inhibition", "slow-inhibition", "SlowInhibition", "Slow inhibition"),
        ("SlowInhibition", "slow_inhibition", "slow-inhibition", "SlowInhibition", "Slow inhibition"),
        ("slow inhibition", "slow_inhibition", "slow-inhibition", "SlowInhibition", "Slow inhibition"),
        ("HTTPServer", "http_server", "http-server", "HTTPServer", "Http server"),
        ("e_prop2", "e_prop2", "e-prop2", "EProp2", "E prop2"),
        ("DAN", "dan", "dan", "DAN", "Dan"),
    ],
)
def test_a_name_has_one_form_for_every_place(given, snake, kebab, camel, sentence):
    name = Name(given)
    assert (name.snake, name.kebab, name.camel, name.sentence) == (snake, kebab, camel, sentence)


@pytest.mark.parametrize("given", ["", "9a", "a.b", "../up", "a--b", "-a", "ä", "x" * 41, "a/b", "__init__"])
def test_unusable_names_are_refused(given):
    with pytest.raises(AtlasError, match="is not usable; give words of letters and digits"):
        Name(given)


@pytest.mark.parametrize("given", ["class", "json", "Random", "lambda"])
def test_names_of_python_are_refused(given):
    with pytest.raises(AtlasError, match=r"is Python's own"):
        Name(given)


def test_installed_modules_and_taken_slugs_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(AtlasError, match="A module 'torch' is installed already"):
        write_skeleton("cell", Name("torch"), tmp_path)
    for kind in ("study", "package"):
        with pytest.raises(AtlasError, match=r"'homeostatic-nets' is taken, by 'Need is All You Need.* of the catalogue \(2022\)"):
            write_skeleton(kind, Name("homeostatic-nets"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_is_ever_overwritten_and_none_is_written_beside_one(kind, tmp_path):
    last = write_skeleton(kind, Name("slow-inhibition"), tmp_path)[-1]
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != last.name:
            path.unlink()
    last.write_text("mine")
    with pytest.raises(AtlasError, match="exists already, and nothing was written"):
        write_skeleton(kind, Name("slow-inhibition"), tmp_path)
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["mine"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_placeholder_is_left(kind, tmp_path):
    for path in write_skeleton(kind, Name("slow-inhibition"), tmp_path):
        text = path.read_text()
        assert not any(word in text for word in ("MyPart", "my_part", "my-part", "My part", "1900")), path
        assert text == text.strip() + "\n"
        if path.name == "rows.jsonl":
            assert json.loads(text)["slug"] == "slow-inhibition"


@pytest.mark.parametrize("kind", ["study", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:3]), "package"])
def test_what_is_written_passes_its_own_tests_with_warnings_as_errors(kind, tmp_path):
    write_skeleton(kind, Name("slow-inhibition"), tmp_path)
    folder = tmp_path / "slow-inhibition" if kind == "package" else tmp_path
    run = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("ruff") is None, reason="ruff is not installed; `pip install ruff` brings it")
@pytest.mark.parametrize("name", ["slow-inhibition", "DAN", "three-factor-eligibility"])
def test_what_is_written_is_formatted_and_without_a_complaint(name, tmp_path):
    for kind in KINDS:
        write_skeleton(kind, Name(name), tmp_path / kind)
        folder = tmp_path / kind / (Name(name).kebab if kind == "package" else "")
        for words in (["format", "--check"], ["check"]):
            done = subprocess.run(["ruff", *words, "--isolated", "."], cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout


def test_templates_carry_every_file_that_is_written():
    assert {path.name for path in TEMPLATES.glob("*.py")} == {
        *(f"{kind}.py" for kind in KINDS[:3]),
        *(f"test_{kind}.py" for kind in KINDS[:3]),
    }
    assert Path(TEMPLATES / "package" / "rows.jsonl").is_file()
