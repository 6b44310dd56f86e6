"""The house rules that a machine can keep: imports point downward, extras are extra, the README's numbers are generated."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_imports_point_downward():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: 3 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("hidden", [("numba",), ("scipy", "sklearn", "matplotlib", "jinja2", "pooch", "PIL", "numba", "skimage", "aeon")])
def test_parts_import_without_the_extras(hidden):
    block = f"import sys\nfor name in {hidden!r}: sys.modules[name] = None\n"
    code = block + "import neuropil.cli\nfor family in neuropil.FAMILIES: getattr(neuropil, family)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_generated_parts_of_the_readme_are_up_to_date():
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_folder_documents_itself():
    for init in (ROOT / "src" / "neuropil").rglob("__init__.py"):
        assert init.read_text().startswith('"""'), init
