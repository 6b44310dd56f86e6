"""Registries: parts list themselves, duplicates raise, searches find them."""

import subprocess
import sys

import pytest

from neuropil.dynamics.registry import Registry


class Grid:
    """A part."""


def filled():
    registry = Registry("cell")
    assert registry.register(cites=("stensola2012",), tags=("map",))(Grid) is Grid
    registry.register(cites=("stensola2012", "burak2009"), tags=("map", "spiking"))(type("Place", (), {}))
    return registry


def test_parts_are_found_by_name_tag_and_source():
    registry = filled()
    assert registry["Grid"].make is Grid
    assert [part.name for part in registry] == ["Grid", "Place"]
    assert [part.name for part in registry.find(tag="spiking")] == ["Place"]
    assert [part.name for part in registry.find(cites="stensola2012")] == ["Grid", "Place"]
    assert registry.find(tag="map", cites="nobody") == ()
    assert "Grid" in registry
    assert "Gird" not in registry
    assert len(registry) == 2


def test_a_taken_name_is_refused_and_the_first_stays():
    registry = filled()
    with pytest.raises(ValueError, match="'Grid' is registered already"):
        registry.register(cites=("other",))(type("Grid", (), {}))
    assert registry["Grid"].make is Grid


def test_an_unknown_name_gets_its_nearest():
    with pytest.raises(KeyError, match="No cell is named 'Gird'; the nearest are Grid"):
        filled()["Gird"]


@pytest.mark.parametrize(
    ("arguments", "says"), [({"cites": ()}, "sources"), ({"cites": "one"}, "sources"), ({"cites": ("a",), "off": {}}, "give both")]
)
def test_incomplete_entries_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        Registry("cell").register(**arguments)(Grid)


def test_the_families_register_what_they_export():
    code = """
import inspect, neuropil.cells, neuropil.synapses, neuropil.plasticity
from neuropil.dynamics import Cell
from neuropil.dynamics.registry import CELLS, SYNAPSES, RULES
for family, registry in ((neuropil.cells, CELLS), (neuropil.synapses, SYNAPSES)):
    assert {p.name for p in registry} == {n for n in family.__all__ if inspect.isclass(getattr(family, n))} - {"Synapse"}, registry
assert {p.name for p in RULES} == {n for n in neuropil.plasticity.__all__ if inspect.isclass(c := getattr(neuropil.plasticity, n)) and issubclass(c, Cell)}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
