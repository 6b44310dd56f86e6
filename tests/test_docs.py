"""Every code block of README and docs runs; the example study is under 40 lines and works from CONTRIBUTING alone."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = [
    (path.name, index, code, printed)
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
    for index, (code, printed) in enumerate(
        re.findall(r"```python\n(.*?)```(?:\n\nIt prints [^\n]*:\n\n```text\n(.*?)```)?", path.read_text(), re.DOTALL)
    )
]


@pytest.mark.parametrize(("name", "index", "code", "printed"), BLOCKS, ids=[f"{name}-{index}" for name, index, _, _ in BLOCKS])
def test_code_blocks_run(name, index, code, printed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"{name} block {index}", "exec"), {"__name__": "docs"})
    if printed:
        assert capsys.readouterr().out == printed


def test_the_example_is_short_and_says_what_it_should(tmp_path, monkeypatch):
    from neuropil.atlas.conduct.loading import find
    from neuropil.atlas.conduct.run import run
    from neuropil.atlas.conduct.store import Store
    from neuropil.data import load

    monkeypatch.chdir(tmp_path)
    (code,) = [code for name, _, code, _ in BLOCKS if name == "CONTRIBUTING.md"]
    (tmp_path / "mine.py").write_text(code)
    assert len(code.splitlines()) < 40
    source = find("mine.py")
    result = run(source, source.load(), "glance", digests={"digits": load("digits").sha256}, store=Store(tmp_path / "cells"))
    assert result["contrasts"][0]["effect"] > 0.02
    assert all(check["passed"] is not False for check in result["checks"])
