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
import inspect, neuropil.cells, neuropil.memory, neuropil.synapses, neuropil.plasticity
from neuropil.dynamics import Cell
from neuropil.dynamics.registry import CELLS, SYNAPSES, RULES
def cells(family):
    return {n for n in family.__all__ if inspect.isclass(c := getattr(family, n)) and issubclass(c, Cell)}
def classes(family):
    return {n for n in family.__all__ if inspect.isclass(getattr(family, n))}
def of(registry, family):
    return {p.name for p in registry if p.make.__module__.startswith(family.__name__ + ".")}
assert {p.name for p in CELLS} == cells(neuropil.cells) | of(CELLS, neuropil.plasticity)
assert classes(neuropil.cells) == cells(neuropil.cells)
assert {p.name for p in SYNAPSES} == classes(neuropil.synapses) - {"Synapse"}
assert {p.name for p in RULES} | of(CELLS, neuropil.plasticity) == cells(neuropil.plasticity)
assert of(CELLS, neuropil.plasticity) == {"Neuromodulator"}
memories = {n for n in classes(neuropil.memory) if hasattr(getattr(neuropil.memory, n), "recall") and not getattr(getattr(neuropil.memory, n), "_is_protocol", False)}
assert {p.name for p in neuropil.memory.MEMORIES} == memories
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
