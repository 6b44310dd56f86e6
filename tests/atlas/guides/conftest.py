"""A guide of four entries that is no guide to anything."""

from pathlib import Path

import pytest

from neuropil.atlas.guides import Guide, load

TOY = '''
read = "whole"
source = "all of it"
argues = "It argues."
order = ["One.", "Two."]

[[sections]]
title = "First"

[[sections.entries]]
name = "Both"
says = """
Said over
two lines.
"""
where = "2"
parts = ["neuropil.cells.LIF"]
studies = ["homeostatic-nets"]

[[sections.entries]]
name = "Part"
says = "A part."
parts = ["neuropil.memory.WillshawMemory"]

[[sections]]
title = "Second"

[[sections.entries]]
name = "Study"
says = "A <b>study</b> & more."
studies = ["sltt"]

[[sections.entries]]
name = "Nothing"
says = "Nothing here."
open = "Something would."

[[predictions]]
says = "It follows."
contrast = "a > b by 0.02"
parts = ["neuropil.cells.LIF"]

[[disputes]]
says = "It does not."
cites = ["ray2010"]
'''


@pytest.fixture
def toy_text() -> str:
    return TOY


@pytest.fixture
def toy(tmp_path: Path) -> Guide:
    path = tmp_path / "key-value-memory-brain.toml"
    path.write_text(TOY)
    return load(path)
