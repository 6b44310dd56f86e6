"""Every code block of README and docs runs; the example study is under 40 lines and works from CONTRIBUTING alone."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = [
    (path.name, index, code)
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
    for index, code in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL))
]


@pytest.mark.parametrize(("name", "index", "code"), BLOCKS, ids=[f"{name}-{index}" for name, index, _ in BLOCKS])
def test_code_blocks_run(name, index, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"{name} block {index}", "exec"), {"__name__": "docs"})


def test_the_example_is_short_and_says_what_it_should(tmp_path, monkeypatch):
    from neuropil.atlas.conduct.loading import find
    from neuropil.atlas.conduct.run import run
    from neuropil.atlas.conduct.store import Store
    from neuropil.data import load

    monkeypatch.chdir(tmp_path)
    (code,) = [code for name, _, code in BLOCKS if name == "CONTRIBUTING.md"]
    (tmp_path / "mine.py").write_text(code)
    assert len(code.splitlines()) < 40
    source = find("mine.py")
    result = run(source, source.load(), "glance", digests={"digits": load("digits").sha256}, store=Store(tmp_path / "cells"))
    assert result["contrasts"][0]["effect"] > 0.02
    assert all(check["passed"] is not False for check in result["checks"])
