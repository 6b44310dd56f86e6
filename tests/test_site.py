"""The documentation site: it builds without a warning, and no guide or family is left out of it."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import neuropil

ROOT = Path(__file__).parent.parent
CONFIG = (ROOT / "mkdocs.yml").read_text()
NAV = set(re.findall(r"([\w/-]+\.md)\s*$", CONFIG[CONFIG.index("\nnav:") :], re.MULTILINE))


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page():
    assert {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")} == NAV


@pytest.mark.parametrize("family", neuropil.FAMILIES)
def test_every_family_has_a_reference_page(family):
    page = (ROOT / "docs" / "reference" / f"{family}.md").read_text()
    assert re.search(rf"^::: neuropil\.{family}$", page, re.MULTILINE)
    assert f"[{family}]({family}.md)" in (ROOT / "docs" / "reference" / "index.md").read_text()


@pytest.mark.slow
@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings_handlers")),
    reason="the site needs mkdocs-material and mkdocstrings; `pip install 'neuropil[docs]'` brings them",
)
def test_the_site_builds_without_a_warning_shows_every_public_name_and_loads_nothing_from_elsewhere(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for family in neuropil.FAMILIES:
        html = (tmp_path / "reference" / f"{family}.html").read_text()
        missing = [
            name
            for name in getattr(neuropil, family).__all__
            if not re.search(rf'id="neuropil\.{family}\.({name}\.)?{name}"', html)  # the long form where a file has the name of its part
        ]
        assert not missing, f"{family}: {missing}"
    papers = set(re.findall(r'\bid="(\w+)"', (tmp_path / "reference" / "papers.html").read_text()))
    linked = {key for page in (tmp_path / "reference").glob("*.html") for key in re.findall(r"papers\.html#(\w+)", page.read_text())}
    assert "bellec2018" in linked <= papers
    for page in tmp_path.rglob("*.html"):
        assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)=\"?https?://", page.read_text()), page
