"""A new cell, one file of under 30 lines in somebody's own package, is tested by existing; a bad one is caught."""

import json
import subprocess
import sys

import pytest

from neuropil.cells import LI, LIF
from neuropil.dynamics import Cell
from neuropil.testing import check_part, checks

GOOD = '''
"""Resonate-and-fire: a membrane that rings."""

import math
from typing import NamedTuple

from torch import Tensor

from neuropil.dynamics import Arctan, Cell, Decay
from neuropil.dynamics.registry import CELLS


@CELLS.register(cites=("izhikevich2001",), tags=("spiking", "resonant"))
class Resonator(Cell):
    emits = "spikes"

    class State(NamedTuple):
        x: Tensor
        y: Tensor

    def __init__(self, size=None, *, hertz=40.0, tau=0.02, dt=None):
        super().__init__(size, dt=dt)
        self.decay, self.surrogate = Decay(tau, dt=dt, size=size), Arctan()
        self.cos, self.sin = (f(2 * math.pi * hertz * dt) for f in (math.cos, math.sin))

    def update(self, s, x):
        a = self.decay() * (self.cos * s.x - self.sin * s.y) + x
        b = self.decay() * (self.sin * s.x + self.cos * s.y)
        spike = self.surrogate(b - 1)
        return self.State(a * (1 - spike), b), spike
'''

BAD = """
from typing import NamedTuple

from torch import Tensor

from neuropil.dynamics import Cell, Decay
from neuropil.dynamics.registry import CELLS


@CELLS.register(cites=("nobody",))
class Leaking(Cell):
    class State(NamedTuple):
        v: Tensor

    def __init__(self, size=None, *, tau=0.02, dt=None):
        super().__init__(size, dt=dt)
        self.decay, self.last = Decay(tau, dt=dt, size=size), 0.0

    def update(self, s, x):
        v = self.decay() * s.v + x + 0.1 * self.last  # hidden: neither state nor parameter
        self.last = v.detach().mean()                 # and shared by the whole batch
        return self.State(v), v
"""


RUN = """
import json, sys
import somebodys
from neuropil.dynamics.registry import CELLS
from neuropil.testing import check_part, checks

def failure(check):
    try:
        check()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""

found = {name: {str(check): failure(check) for check in checks(CELLS[name].make)} for name in ("Resonator", "Leaking")}
try:
    check_part(CELLS["Leaking"])
except AssertionError as error:
    said = str(error)
print(json.dumps({"found": found, "said": said, "passed": check_part(CELLS["Resonator"])}))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What each check said of each cell of a package, in a process that imports it."""
    folder = tmp_path_factory.mktemp("package")
    package = folder / "somebodys"
    package.mkdir()
    (package / "__init__.py").write_text("from somebodys import leaking, resonator\n")
    (package / "resonator.py").write_text(GOOD.lstrip())
    (package / "leaking.py").write_text(BAD.lstrip())
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_good_cell_of_under_thirty_lines_passes_all(outcome):
    assert len(GOOD.strip().splitlines()) < 30
    mine = outcome["found"]["Resonator"]
    assert outcome["passed"] == len(mine) > 25
    assert set(mine.values()) == {""}, mine


def test_a_cell_that_hides_state_is_caught(outcome):
    failed = {check for check, said in outcome["found"]["Leaking"].items() if said}
    assert {
        "nothing is hidden",
        "samples of a batch do not touch",
        "neurons do not touch",
        "update is pointwise torch",
    } <= failed
    first, *rest = outcome["said"].splitlines()
    assert first == f"Leaking fails {len(failed)} of {len(outcome['found']['Leaking'])} checks:"
    assert {line.removeprefix("- ").split(":")[0] for line in rest} == failed


class Unregistered(LI):
    pass


def test_an_unregistered_class_is_checked_with_the_facts_given():
    named = {str(check) for check in checks(Unregistered, example={"dt": 1e-3})}
    assert "sizes are whole and positive (0)" not in named
    assert "dt missing not positive or above a time constant (nan)" in named
    assert "on and off as declared" not in named
    assert "on and off as declared" in {str(check) for check in checks(Unregistered, off={"tau": 1.0}, like=lambda off: off)}


def test_what_is_no_part_and_facts_stated_twice_are_refused():
    with pytest.raises(TypeError, match="A class or a registered part is checked, a LI was given"):
        checks(LI(4, dt=1e-3))
    with pytest.raises(TypeError, match=r"LIF is registered, and its registration says example"):
        checks(LIF, example={})


def test_a_part_that_emits_no_spike_for_any_input_is_told_so():
    class Deaf(Cell):
        State = LIF.State
        emits = "spikes"

        def update(self, s, x):
            return s, 0 * x

    with pytest.raises(AssertionError, match=r"no input from 0\.3 to 300 made it fire"):
        check_part(Deaf)
