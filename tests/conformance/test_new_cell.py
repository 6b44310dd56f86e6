"""A new cell, one file of under 30 lines in somebody's own package, is tested by existing; a bad one is caught."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Test name -> passed or failed, of one run of the suite that knows the package only by ``-p``."""
    folder = tmp_path_factory.mktemp("package")
    package = folder / "somebodys"
    package.mkdir()
    (package / "__init__.py").write_text("from somebodys import leaking, resonator\n")
    (package / "resonator.py").write_text(GOOD.lstrip())
    (package / "leaking.py").write_text(BAD.lstrip())
    code = f"import sys, pytest; sys.path.insert(0, {str(folder)!r}); sys.exit(pytest.main(sys.argv[1:]))"
    here = [str(path) for path in sorted(Path(__file__).parent.glob("test_*.py")) if path.name != Path(__file__).name]
    run = [sys.executable, "-c", code, "-p", "somebodys", *here, "-k", "Resonator or Leaking", "-rA", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    found = {name: verdict for verdict, name in re.findall(r"^(PASSED|FAILED) \S+::(\S+)", done.stdout, re.MULTILINE)}
    assert found, done.stdout + done.stderr
    return found


def test_a_good_cell_of_under_thirty_lines_passes_all(outcome):
    assert len(GOOD.strip().splitlines()) < 30
    mine = {name: verdict for name, verdict in outcome.items() if "Resonator" in name}
    assert len(mine) > 25
    assert set(mine.values()) == {"PASSED"}, mine


def test_a_cell_that_hides_state_is_caught(outcome):
    failed = {name.split("[")[0] for name, verdict in outcome.items() if "Leaking" in name and verdict == "FAILED"}
    assert {
        "test_nothing_is_hidden",
        "test_samples_of_a_batch_do_not_touch",
        "test_neurons_do_not_touch",
        "test_update_is_pointwise_torch",
    } <= failed
