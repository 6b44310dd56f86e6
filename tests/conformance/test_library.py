"""The library's own parts under `neuropil.testing`: whatever registers itself is tested by existing."""

from pathlib import Path

import pytest

import neuropil.cells
import neuropil.continual
import neuropil.exchange
import neuropil.learning
import neuropil.memory
import neuropil.plasticity
import neuropil.synapses  # noqa: F401
from neuropil.continual import STRATEGIES
from neuropil.dynamics.registry import CELLS, RULES, SYNAPSES
from neuropil.memory import MEMORIES
from neuropil.testing import checks

REGISTRIES = (CELLS, SYNAPSES, RULES, MEMORIES, STRATEGIES)
PARTS = [part for registry in REGISTRIES for part in registry if part.make.__module__.startswith("neuropil.")]
CHECKS = [check for part in PARTS for check in checks(part)]
BIBLIOGRAPHY = Path(__file__).parents[2] / "references.bib"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.part.name}-{check}")
def test_part(check):
    check()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_sources_are_in_the_bibliography(part):
    for key in part.cites:
        assert f"{{{key}," in BIBLIOGRAPHY.read_text()
