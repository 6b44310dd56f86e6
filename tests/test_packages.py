"""Packages of other people: a real one, installed on a path of its own, met as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuropil.atlas.skeletons import Name, write_skeleton


def install(site: Path, name: str, *, atlas: str = "", parts: str = "", version: str = "1.2") -> None:
    """Write what pip leaves behind of a package: its dist-info with entry points."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = {"neuropil.atlas": atlas, "neuropil.parts": parts}
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{name} = {module}\n" for group, module in groups.items() if module))


def skeleton(site: Path, name: str) -> Path:
    """Write the skeleton of a package, as installed, and give the folder of its module."""
    write_skeleton("package", Name(name), site / "sources")
    module = Name(name).snake
    (site / "sources" / name / "src" / module).rename(site / module)
    install(site, name, atlas=module, parts=f"{module}.cell")
    return site / module


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def python(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    home = site.parent
    environment = os.environ | {"PYTHONPATH": str(site), "NEUROPIL_CACHE": str(home / "cache"), "COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=home, env=environment)


def neuropil(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return python(site, "-m", "neuropil", *words)


def records(site: Path) -> tuple[dict[str, dict], str]:
    done = neuropil(site, "list", "--json")
    assert done.returncode == 0, done.stderr
    return {record["slug"]: record for record in json.loads(done.stdout)}, done.stderr


def test_a_package_adds_a_row_that_is_listed_found_shown_and_cited(site):
    skeleton(site, "slow-inhibition")
    found, said = records(site)
    assert len(found) == 356
    assert said == ""
    assert found["slow-inhibition"]["package"] == "slow-inhibition"
    assert found["slow-inhibition"]["status"] == "implemented"
    assert found["slow-inhibition"]["fidelity"] == "paper"
    assert sum(record["package"] is not None for record in found.values()) == 1
    listed = neuropil(site, "list", "--family", "cells").stdout
    assert " from " in listed.splitlines()[1]
    assert "from the package slow-inhibition" in " ".join(neuropil(site, "show", "slow-inhibition").stdout.split())
    assert "slow-inhibition" in neuropil(site, "search", "slow inhibition").stdout
    assert neuropil(site, "cite", "slow-inhibition").stdout.startswith("@misc{slow_inhibition2")


def test_without_packages_nothing_says_where_a_row_is_from(site):
    assert " from " not in neuropil(site, "list", "--family", "cells").stdout.splitlines()[1]


def test_listing_imports_neither_torch_nor_anything_of_the_package(site):
    skeleton(site, "slow-inhibition")
    code = "import neuropil.atlas.index as i, sys; print(len(i.index())); print(*sys.modules, sep='\\n')"
    length, *modules = python(site, "-c", code).stdout.split()
    assert length == "356"
    assert not {"torch", "slow_inhibition", "neuropil.dynamics"} & set(modules)


def test_its_study_runs_by_its_slug_in_a_worker_and_results_lie_beside_it(site):
    module = skeleton(site, "slow-inhibition")
    study = module / "studies" / "cells" / "slow_inhibition.py"
    study.write_text(study.read_text().replace("import numpy as np", "import numpy as np\n\nfrom ...scale import SCALE", 1))
    study.write_text(study.read_text().replace('"apart": float(', '"apart": SCALE * float('))
    (module / "scale.py").write_text("SCALE = 1.0\n")
    done = neuropil(site, "run", "slow-inhibition", "--budget", "glance", "--jobs", "2", "--json", "r.json")
    assert done.returncode == 0, done.stderr
    first = json.loads((site.parent / "r.json").read_text())
    assert first["contrasts"][0]["effect"] > 0.3
    ask = "from neuropil.atlas.conduct.loading import find; s = find('slow-inhibition'); print(s.code, s.folder)"
    code, folder = python(site, "-c", ask).stdout.split()
    assert code == first["provenance"]["code"]
    assert Path(folder) == study.parent / "results" / "slow-inhibition"
    (module / "scale.py").write_text("SCALE = 2.0\n")
    assert python(site, "-c", ask).stdout.split()[0] != code


def test_a_folder_without_init_is_refused_since_its_parts_would_not_be_hashed(site):
    (skeleton(site, "slow-inhibition") / "studies" / "__init__.py").unlink()
    done = neuropil(site, "run", "slow-inhibition", "--budget", "smoke")
    assert done.returncode == 1
    assert "has no __init__.py; add one" in done.stderr


def test_doctor_names_packages_and_parts_and_new_refuses_their_names(site):
    skeleton(site, "slow-inhibition")
    done = neuropil(site, "doctor")
    assert done.returncode == 0, done.stdout
    said = " ".join(done.stdout.split())
    assert "package slow-inhibition 1.2: 1 rows, 1 of them studies" in said
    assert "package slow-inhibition 1.2: its parts are registered" in said
    taken = neuropil(site, "new", "cell", "SlowInhibition")
    assert "A cell 'SlowInhibition' is registered already, by slow_inhibition.cell" in taken.stderr


BROKEN = {
    "homeostatic-nets": "slug",
    "no-json": "not JSON",
    "lacks": "other fields than a row (claim)",
    "wrong-type": "year is '2020'",
    "no-family": "family 'fungi' is unknown",
    "no-entry": "is not in references.bib",
}


def broken(site: Path, name: str) -> None:
    module = skeleton(site, "fine")
    path = module / "rows.jsonl"
    row = json.loads(path.read_text())
    match name:
        case "homeostatic-nets":
            row["slug"] = "homeostatic-nets"
        case "lacks":
            del row["claim"]
        case "wrong-type":
            row["year"] = "2020"
        case "no-family":
            row["family"] = "fungi"
        case "no-entry":
            row["cites"] = "nobody1900"
    path.write_text("{" if name == "no-json" else json.dumps(row) + "\n")


@pytest.mark.parametrize("name", BROKEN)
def test_a_package_with_a_fault_adds_nothing_and_says_why_in_one_sentence(site, name):
    broken(site, name)
    found, said = records(site)
    assert len(found) == 355
    assert said.startswith("neuropil: The package fine 1.2 ")
    assert said.count("\n") == 1
    assert BROKEN[name] in said
    if name == "homeostatic-nets":
        assert "a row 'homeostatic-nets', a slug that neuropil's own catalogue has already" in said


def test_two_packages_with_one_slug_are_both_named_and_the_first_stays(site):
    first, second = skeleton(site, "one-mechanism"), skeleton(site, "other-mechanism")
    (second / "rows.jsonl").write_text((second / "rows.jsonl").read_text().replace('"other-mechanism"', '"one-mechanism"'))
    found, said = records(site)
    assert found["one-mechanism"]["package"] == "one-mechanism"
    assert "The package other-mechanism 1.2 adds a row 'one-mechanism', a slug that the package one-mechanism 1.2 has already" in said
    assert len(found) == 356
    assert first.is_dir()


def test_an_entry_point_that_leads_nowhere_and_parts_that_fail_are_a_sentence_each_and_the_rest_works(site):
    skeleton(site, "good")
    install(site, "gone", atlas="gone_away", parts="gone_away.cell")
    (site / "raising.py").write_text("raise RuntimeError('no licence\\nfor this machine')\n")
    install(site, "raising", parts="raising")
    (site / "twice.py").write_text((site / "good" / "cell.py").read_text().replace("class Good(", "class LIF("))
    install(site, "twice", parts="twice")
    found, said = records(site)
    assert found["good"]["package"] == "good"
    assert "The package gone 1.2 names 'gone_away' as its neuropil.atlas, and there is no such folder" in said
    done = neuropil(site, "doctor")
    assert done.returncode == 1
    told = " ".join(done.stdout.split())
    assert "The package gone 1.2 could not be loaded (ModuleNotFoundError: No module named 'gone_away')" in told
    assert "The package raising 1.2 could not be loaded (RuntimeError: no licence for this machine)" in told
    assert "The package twice 1.2 could not be loaded (ValueError: A cell named 'LIF' is registered already, by neuropil.cells.lif" in told
    assert "package good 1.2: its parts are registered" in told
    assert "Traceback" not in done.stderr


def test_a_damaged_result_of_a_package_does_not_hide_the_others(site):
    module = skeleton(site, "slow-inhibition")
    results = module / "studies" / "cells" / "results" / "slow-inhibition"
    results.mkdir(parents=True)
    (results / "ledger.jsonl").write_text("nonsense\n")
    found, said = records(site)
    assert len(found) == 356
    assert "The package slow-inhibition: " in said
    assert found["slow-inhibition"]["verdict"] is None


def test_refresh_without_slugs_leaves_other_peoples_studies_alone_and_with_one_reaches_it(site):
    skeleton(site, "slow-inhibition")
    ask = "from neuropil.atlas.catalogue import own_rows; print('slow-inhibition' in {row.slug for row in own_rows()})"
    assert python(site, "-c", ask).stdout.strip() == "False"
    done = neuropil(site, "refresh", "slow-inhibition", "--dry")
    assert done.stdout.startswith("slow-inhibition: never run (not registered)"), done.stderr


def test_results_of_an_installed_copy_are_read_only(site):
    skeleton(site, "slow-inhibition")
    code = f"""
import sysconfig
sysconfig.get_path = lambda kind: {str(site)!r}
from neuropil.atlas.conduct.loading import find
find("slow-inhibition").writable()
"""
    done = python(site, "-c", code)
    assert "slow-inhibition belongs to an installed slow-inhibition, whose results are read-only" in done.stderr
