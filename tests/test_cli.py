"""The command line as a newcomer and as a script meets it: messages, exit codes, JSON, narrow and wide terminals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuropil.atlas.index import index

UNBUILT = next(found["slug"] for found in index() if found["status"] == "catalogued")
SPARSE = Path(__file__).parent.parent / "docs" / "examples" / "sparse_expansion.py"


def neuropil(*words: str, cwd: Path | None = None, columns: int = 100, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "neuropil", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | {"COLUMNS": str(columns), "NO_COLOR": "1", **environment},
    )


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules, sep='\\n')"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code", ["import neuropil", "import neuropil.atlas", "import neuropil.cli", "import neuropil.atlas.index as i; i.index()"]
)
def test_torch_waits_until_a_part_is_used(code):
    heavy = {"torch", "scipy", "sklearn", "matplotlib", "jinja2"}
    assert not heavy & loaded_by(code)


def test_a_part_is_reached_through_its_family():
    assert "torch" in loaded_by("import neuropil\nneuropil.networks.MLP")
    done = subprocess.run([sys.executable, "-c", "import neuropil; neuropil.nothing"], capture_output=True, text=True, check=False)
    assert "its families are" in done.stderr


def test_list_json_has_every_row_and_every_promised_key():
    records = json.loads(neuropil("list", "--json").stdout)
    assert len(records) == 355
    promised = {"slug", "family", "tier", "status", "verdict", "effect", "units", "interval", "delta", "n", "fidelity", "looks", "stale"}
    for record in records:
        assert promised <= set(record)
        assert record["status"] in ("catalogued", "guide", "implemented")
        if record["status"] != "implemented":
            assert record["verdict"] is record["effect"] is record["stale"] is None
            assert record["looks"] == 0


@pytest.mark.parametrize("columns", [40, 80, 160])
@pytest.mark.parametrize(
    "words",
    [
        ("list", "--family", "plasticity"),
        ("search", "sleep"),
        ("show", "homeostatic-nets"),
        ("guide",),
        ("guide", "key-value-memory-brain"),
        ("data",),
        ("--help",),
    ],
)
def test_output_fits_the_terminal(words, columns):
    done = neuropil(*words, columns=columns)
    assert done.returncode == 0, done.stderr
    assert max(len(line) for line in done.stdout.splitlines()) <= columns


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "homeostatic-net"), "the nearest are homeostatic-nets"),
        (("show", "no-such-thing-at-all"), "has no study"),
        (("cite", "homeostatic-net"), "homeostatic-nets"),
        (("run", "missing.py"), "There is no file missing.py"),
        (("run", UNBUILT), "catalogued and not yet implemented"),
        (("run", str(SPARSE), "--budget", "huge"), "has no budget 'huge'; it has smoke, glance, desk"),
        (("run", str(SPARSE), "--arms", "sparse,dense"), "has no arm 'dense'; its arms are"),
        (("run", str(SPARSE), "--seeds", "9:3"), "names no seeds; write a range as 0:10"),
        (("run", str(SPARSE), "--seeds", "99999999999"), "only a registered run uses"),
        (("run", str(SPARSE), "--json", "no/such/folder/x.json"), "does not exist; make it first"),
        (("run", str(SPARSE)), "is not registered"),
        (("report", str(SPARSE)), "has no committed result"),
        (("register", str(SPARSE)), "has no tuning"),
        (("list", "--family", "fungi"), "accepted are"),
        (("run", str(SPARSE), "--set", "budget.width=3"), "give --seeds 0:10 beside it, or --budget glance"),
        (("run", str(SPARSE), "--budget", "glance", "--set", "budget.wdth=3"), "has no setting 'wdth'; the nearest is width"),
        (("run", str(SPARSE), "--budget", "glance", "--set", "width=3"), "write budget.NAME=VALUE"),
        (("compare", str(SPARSE)), "is not readable as JSON"),
        (("compare", "a.json", "a.json"), "named twice"),
        (("compare", "a.json", "b.json"), "There is no file a.json"),
        (("new", "study", "homeostatic-nets"), "is taken, by"),
        (("new", "strategy", "9 lives"), "is not usable"),
        (("new", "cell", "LIF"), "is registered already, by neuropil.cells.lif"),
        (("search", "qqqqzzzz"), "Nothing in the atlas is about"),
        (("data", "minst"), "mnist"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_with_one(words, said, tmp_path):
    done = neuropil(*words, cwd=tmp_path, NEUROPIL_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("neuropil: ")
    assert done.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def test_unknown_options_exit_with_two():
    assert neuropil("run", "homeostatic-nets", "--sedes", "1").returncode == 2


def test_a_users_own_study_runs_and_is_exploratory(tmp_path):
    cache = {"NEUROPIL_CACHE": str(tmp_path / "cache")}
    done = neuropil("run", str(SPARSE), "--budget", "glance", "--json", "r.json", cwd=tmp_path, **cache)
    assert done.returncode == 0, done.stderr
    assert "Exploratory" in done.stdout
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["verdict"] is None
    assert result["exploratory"] is True
    assert result["contrasts"][0]["effect"] > 0
    assert len(result["contrasts"][0]["interval"]) == 2
    assert set(result["arms"]) == {"sparse", "linear"}
    assert all(len(values) == 3 for arm in result["arms"].values() for values in arm["metrics"].values())
    assert {"code", "versions", "data", "at", "machine"} <= set(result["provenance"])
    page = neuropil("report", str(SPARSE), "--from", "r.json", "--out", "r.html", cwd=tmp_path, **cache)
    assert page.returncode == 0, page.stderr
    assert "</html>" in (tmp_path / "r.html").read_text()


def test_a_new_study_runs_explores_is_compared_and_an_edited_verdict_is_refused(tmp_path):
    cache = {"NEUROPIL_CACHE": str(tmp_path / "cache")}
    made = neuropil("new", "study", "slow-inhibition", "--into", "mine", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "neuropil run mine/slow_inhibition.py --budget glance" in made.stdout
    study = "mine/slow_inhibition.py"
    again = neuropil("new", "study", "slow-inhibition", "--into", "mine", cwd=tmp_path)
    assert again.returncode == 1
    assert "exists already, and nothing was written" in again.stderr
    for name, words in {"a.json": (), "b.json": ("--set", "budget.units=20")}.items():
        done = neuropil("run", study, "--budget", "glance", "--json", name, *words, cwd=tmp_path, **cache)
        assert done.returncode == 0, done.stderr
    assert "Exploratory (glance, 3 seeds, budget.units=20)" in done.stdout
    compared = neuropil("compare", "a.json", "b.json", cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    assert "Another budget (units)" in compared.stdout
    found = json.loads(neuropil("compare", "a.json", "b.json", "--json", cwd=tmp_path).stdout)
    assert found["results"][1]["set"] == {"budget.units": 20}
    result = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "c.json").write_text(json.dumps(result | {"verdict": {"word": "supported", "withheld": [], "decided_by": 0}}))
    for words in (("compare", "a.json", "c.json"), ("report", study, "--from", "c.json")):
        refused = neuropil(*words, cwd=tmp_path, **cache)
        assert refused.returncode == 1
        assert "c.json offers 'supported' as a verdict, and it is exploratory; an estimate is no verdict" in refused.stderr
    foreign = neuropil("report", str(SPARSE), "--from", "a.json", cwd=tmp_path, **cache)
    assert "a.json is a result of slow-inhibition, and the page is of sparse-expansion" in foreign.stderr


def test_doctor_cite_and_version_speak():
    assert "@" in neuropil("cite", "homeostatic-nets").stdout
    doctor = neuropil("doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "torch" in doctor.stdout
    assert neuropil("--version").stdout.strip().count(".") == 2
    help_text = neuropil("--help").stdout
    for command in "tour list search show register tune run report cite data doctor refresh".split():  # noqa: SIM905
        assert command in help_text


def test_a_missing_extra_is_one_sentence(tmp_path):
    (tmp_path / "scipy.py").write_text("raise ModuleNotFoundError(\"No module named 'scipy'\", name='scipy')")
    words = ("run", str(SPARSE), "--budget", "glance")
    done = neuropil(*words, cwd=tmp_path, NEUROPIL_CACHE=str(tmp_path / "cache"), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "neuropil: This needs scipy" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_tour_writes_a_page(tmp_path):
    done = neuropil("tour", "--most", "1", "--jobs", "2", cwd=tmp_path, NEUROPIL_CACHE=str(tmp_path / "cache"), NEUROPIL_DATA="")
    assert done.returncode == 0, done.stderr
    assert "Exploratory (glance, 3 seeds)" in done.stdout
    page = tmp_path / "reports" / "tour.html"
    assert str(page) in done.stdout
    assert "</html>" in page.read_text()
