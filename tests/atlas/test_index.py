"""The index with 355 studies: from committed results and remembered hashes, in a moment, whatever was damaged in between."""

import json
import re
import shutil
import time

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas import index as module
from neuropil.atlas.catalogue import rows, study_path
from neuropil.atlas.conduct import syntax
from neuropil.atlas.files import committed_results
from neuropil.atlas.index import head, index, latest_result, result_paths


@pytest.fixture
def everything(tmp_path, monkeypatch):
    """Every row implemented: a result each, copies of the real ones, and a file that imports what a real study does."""
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NEUROPIL_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(syntax, "_SETTLED", 0)
    real = [row.slug for row in rows() if study_path(row.slug) and result_paths(committed_results() / row.slug)]
    (tmp_path / "studies").mkdir()
    files = {}
    for number, row in enumerate(rows()):
        twin = real[number % len(real)]
        files[row.slug] = tmp_path / "studies" / f"s{number}.py"
        imports = [
            line for line in study_path(twin).read_text(encoding="utf-8").splitlines() if re.match(r"(from neuropil|import ).*[^(]$", line)
        ]
        files[row.slug].write_text("\n".join([*imports, f"NUMBER = {number}", ""]), encoding="utf-8")
        shutil.copytree(
            committed_results() / twin, tmp_path / "results" / row.slug, ignore=shutil.ignore_patterns("page.html", "seeds.csv")
        )
    monkeypatch.setattr(module, "study_path", lambda slug: files[slug])
    return files


def test_355_studies_with_results_are_listed_in_less_than_two_seconds(everything):
    first = index()
    assert len(first) >= 355
    assert all(record["verdict"] and record["stale"] for record in first)
    module._head.cache_clear()
    began = time.process_time()
    assert index() == first
    assert time.process_time() - began < 2


@pytest.mark.parametrize("layout", ["a line a key", "one line", "indented"])
def test_a_head_is_the_result_without_its_arms_however_it_is_laid_out(tmp_path, layout):
    path = committed_results() / "ncap-swimmer" / "result.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    copy = tmp_path / "result.json"
    copy.write_text(
        {"a line a key": path.read_text(encoding="utf-8"), "one line": json.dumps(whole), "indented": json.dumps(whole, indent=1)}[layout],
        encoding="utf-8",
    )
    assert head(copy) == {key: value for key, value in whole.items() if key != "arms"}


def test_a_result_that_is_no_json_is_one_sentence(tmp_path):
    (tmp_path / "result.json").write_text('{\n"schema":1,\n"arms"', encoding="utf-8")
    with pytest.raises(AtlasError, match=r"result\.json is not readable as JSON"):
        head(tmp_path / "result.json")


def test_the_latest_result_is_that_of_the_last_registration_that_was_run(tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(committed_results() / "ncap-swimmer", folder)
    assert [path.name for path in result_paths(folder)] == ["result.json"]
    shutil.copy(folder / "registration.json", folder / "registration-2.json")
    assert latest_result(folder)["slug"] == "ncap-swimmer"
    (folder / "result-2.json").write_text('{"later": true}', encoding="utf-8")
    assert latest_result(folder) == {"later": True}
    assert latest_result(tmp_path / "nothing") is None
