"""The board of cells: every entry learns in the same network, a user's own cell beside them; the tasks are what they say."""

import inspect
from pathlib import Path

import pytest
import torch

from neuropil.atlas import AtlasError, Seed, Settings
from neuropil.boards.cells import WIDTH, accuracy, board, explained, make
from neuropil.boards.network import drive_of, network
from neuropil.boards.sequences import SEQUENCES
from neuropil.cells import LIF, Izhikevich
from neuropil.data import status
from neuropil.dynamics import Cell
from neuropil.dynamics.registry import CELLS
from neuropil.learning import ridge

ENTRIES = list(board.entries())
OWN = '''
from typing import NamedTuple

from torch import Tensor

from neuropil.dynamics import Cell, FastSigmoid


class Mine(Cell):
    """A neuron of the user's own."""

    emits = "spikes"

    class State(NamedTuple):
        v: Tensor

    def __init__(self, size, *, dt):
        super().__init__(size, dt=dt)
        self.surrogate = FastSigmoid()

    def update(self, s, x):
        v = 0.9 * s.v + x
        spike = self.surrogate(v - 1)
        return self.State(v * (1 - spike)), spike


class Wide(Cell):
    """No neuron: more outputs than inputs."""

    class State(NamedTuple):
        v: Tensor

    def __init__(self, size):
        super().__init__(size)
        self.out_size = 2 * size
'''


def smoke(task: str, name: str, rate: float = 0.01, seed: int = 0):
    assay = board.on(task, [name])
    arm = Settings(name, {**assay.arms[name], "rate": rate})
    return assay.compute(arm, Settings("smoke", assay.budgets["smoke"]), [Seed(seed)])[0]


def test_every_cell_of_the_library_that_can_stand_on_it_does():
    left_out = {part.name for part in CELLS if part.make.__module__.startswith("neuropil.cells.")} - set(ENTRIES)
    assert left_out == {
        "DisinhibitoryUnit",
        "EventGRU",
        "ExpressiveLeakyMemory",
        "LegendreMemory",
        "PhaseOscillator",
        "SphereOscillator",
        "TwoPoint",
    }
    for name, entry in board.entries().items():
        assert entry.file == Path(inspect.getfile(CELLS[name].make))


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_learns_and_says_its_costs(name):
    found = smoke("adding-problem", name)
    assert set(found) == {"explained", *board.costs}
    assert -1 <= found["explained"] <= 1
    assert found["dense"] == 30 * (2 * WIDTH + WIDTH * WIDTH + WIDTH)
    assert 4417 <= found["parameters"] <= 4417 + 2  # time constants that are learned
    assert 0 < found["acs"] + found["macs"] <= found["dense"]
    spiking = CELLS[name].make.emits in ("spikes", "events")
    assert (found["spikes"] > 0) == spiking
    again = smoke("adding-problem", name)
    assert {k: v for k, v in found.items() if k != "step"} == {k: v for k, v in again.items() if k != "step"}


def test_learning_is_learning():
    """A few hundred updates of the board's own budget teach a LIF network to add; a rate of almost nothing does not."""
    assay = board.on("adding-problem", ["LIF"])

    def explained_at(rate):
        arm = Settings("LIF", {**assay.arms["LIF"], "rate": rate})
        budget = Settings("board", {**assay.budgets["board"], "test": 300})
        return assay.compute(arm, budget, [Seed(1000)])[0]["explained"]

    assert explained_at(0.01) > 0.5
    assert explained_at(1e-6) < 0.1


@pytest.mark.parametrize("name", ENTRIES)
def test_the_drive_makes_a_cell_active_and_half_of_it_does_not(name):
    cell = make(Settings(name, board.entries()[name].settings))
    drive = drive_of(cell, steps=30, share=0.08)
    with pytest.raises(ValueError, match="No drive"):
        drive_of(cell, steps=30, share=2.0) if CELLS[name].make.emits in ("spikes", "events") else drive_of(Silent(8), steps=30, share=0.08)
    generator = torch.Generator().manual_seed(0)
    noise = (torch.randn(1, 64, WIDTH, generator=generator) + torch.randn(30, 64, WIDTH, generator=generator)) * 0.5**0.5

    def active(scale):
        with torch.no_grad():
            y, _ = cell(scale * noise)
        events = cell.emits in ("spikes", "events")
        return float((y != 0).float().mean()) / 0.08 if events else float(y.square().mean()) / 0.25

    assert active(drive) >= 1 > active(drive / 2)


class Silent(Cell):
    """Hears everything and says nothing."""

    class State(tuple):
        _fields = ()

    def __init__(self, size):
        super().__init__(size)

    def initial(self, *leading, device=None, dtype=None):
        return self.State()

    def step(self, x, s=None):
        return 0 * x, self.State()


def test_all_units_of_current_learn_alike():
    """Networks of LIF cells whose currents are in other units are the same network."""
    outputs = []
    for unit in (1.0, 8.0):
        cell = LIF(16, dt=1e-3, threshold=unit)
        model = network(cell, 3, 2, scale=0.5 * unit, gain=0.5, steps=20, generator=torch.Generator().manual_seed(5))
        outputs.append(model(torch.rand(20, 4, 3, generator=torch.Generator().manual_seed(6)))[0])
    torch.testing.assert_close(*outputs)


def test_a_cell_of_ones_own_stands_beside_the_others(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    entries = board.find(["LIF", f"{file}:Mine"])
    assert entries[f"{file}:Mine"].file == file
    found = smoke("adding-problem", f"{file}:Mine")
    assert found["spikes"] > 0
    before = entries[f"{file}:Mine"].arm["code"]
    file.write_text(OWN.replace("0.9 *", "0.8 *"))
    assert board.find([f"{file}:Mine"])[f"{file}:Mine"].arm["code"] != before


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["lif"], r"no entry 'lif'; did you mean 'LIF'\? it has LIF, .*; or give FILE.py:Class"),
        (["PhaseOscillator"], "PhaseOscillator emits a phase, which grows without bound"),
        (["nowhere.py:Mine"], "There is no file nowhere.py; give a cell of your own as FILE.py:Class"),
        (["{file}:Other"], "mine.py has no Cell named 'Other'"),
        (["LIF", "LIF"], "give each entry once"),
        ([], "names nothing"),
    ],
)
def test_entries_that_are_none_are_refused_in_a_sentence(tmp_path, names, says):
    (tmp_path / "mine.py").write_text(OWN)
    with pytest.raises(AtlasError, match=says):
        board.find([name.format(file=tmp_path / "mine.py") for name in names])


def test_two_files_of_one_name_are_two_entries_each_with_its_own_code(tmp_path):
    files = [tmp_path / folder / "mine.py" for folder in ("a", "b")]
    for file, leak in zip(files, ("0.9", "0.8"), strict=True):
        file.parent.mkdir()
        file.write_text(OWN.replace("0.9", leak))
    names = [f"{file}:Mine" for file in files]
    first, again = (board.on("adding-problem", names) for _ in range(2))
    assert [entry.file for entry in again.entries.values()] == files
    assert first.arms == again.arms
    assert len({arm["code"] for arm in again.arms.values()}) == 2


def test_entries_of_two_folders_with_a_helper_of_one_name_are_refused_together(tmp_path):
    for folder, leak in (("a", "0.9"), ("b", "0.8")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "entry_helper.py").write_text(f"LEAK = {leak}\n")
        (tmp_path / folder / "mine.py").write_text("from entry_helper import LEAK\n" + OWN.replace("0.9", "LEAK"))
    first, second = (f"{tmp_path / folder / 'mine.py'}:Mine" for folder in ("a", "b"))
    board.find([first])
    with pytest.raises(AtlasError, match=r"b/mine\.py and .*a/mine\.py each import a 'entry_helper' of their own.*; rename one of the two"):
        board.find([first, second])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("from torch import no_such_name", r"mine\.py could not be loaded \(line 1, ImportError"),
        ("import no_such_module", r"mine\.py needs no_such_module"),
        ("raise SystemExit(0)", r"mine\.py could not be loaded \(line 1, SystemExit: 0\)"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused_in_a_sentence(tmp_path, line, says):
    (tmp_path / "mine.py").write_text(line)
    with pytest.raises(AtlasError, match=says):
        board.find([f"{tmp_path / 'mine.py'}:Mine"])


def test_a_cell_that_is_no_neuron_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    with pytest.raises(AtlasError, match="makes no Cell of 64 inputs and as many outputs"):
        smoke("adding-problem", f"{tmp_path / 'mine.py'}:Wide")


def test_adding_problem_is_the_sum_of_what_is_marked():
    split = SEQUENCES["adding-problem"](Settings("b", {"steps": 10, "train": 50, "test": 30}), Seed(3))
    assert split.x.shape == (10, 50, 2)
    for x, y in ((split.x, split.y), (split.test_x, split.test_y)):
        assert (x[:5, :, 1].sum(0) == 1).all()
        assert (x[5:, :, 1].sum(0) == 1).all()
        torch.testing.assert_close((x[:, :, 0] * x[:, :, 1]).sum(0) - 1, y)


def test_a_linear_look_at_the_adding_problem_explains_what_the_note_says():
    split = SEQUENCES["adding-problem"](Settings("b", {"steps": 30, "train": 20000, "test": 20000}), Seed(1))
    flat, y = split.x.permute(1, 0, 2).flatten(1).double(), split.y.double()
    weight, bias = ridge(flat, y.unsqueeze(1), 1e-3)  # the markers of a half sum to 1, so plain least squares has no single answer
    tested = (split.test_x.permute(1, 0, 2).flatten(1).double() @ weight.mT + bias).squeeze(1)
    assert explained(tested, split.test_y)["explained"] == pytest.approx(1 / 15, abs=0.015)


@pytest.mark.skipif(status("japanese_vowels").where == "not here", reason="japanese_vowels comes with aeon, which is not installed")
def test_japanese_vowels_end_together_and_are_split():
    budget = Settings("b", {"train": 480, "test": 160})
    split = SEQUENCES["japanese-vowels"](budget, Seed(3))
    assert split.x.shape == (29, 480, 12)
    assert split.test_x.shape == (29, 160, 12)
    assert (split.x[-1].abs().sum(-1) > 0).all()
    assert set(split.y.tolist()) == set(range(9))
    own = {tuple(row) for row in split.x.permute(1, 0, 2).flatten(1).tolist()}
    assert not own & {tuple(row) for row in split.test_x.permute(1, 0, 2).flatten(1).tolist()}
    searched = SEQUENCES["japanese-vowels"](Settings("b", {**budget, "validate": True}), Seed(3))
    assert own >= {tuple(row) for row in searched.test_x.permute(1, 0, 2).flatten(1).tolist()}  # a search sees nothing of the test


@pytest.mark.skipif(status("fsdd").where == "not here", reason="fsdd is not on this machine")
def test_spoken_digits_keep_speakers_apart():
    budget = {"channels": 4, "bins": 10, "bin": 0.02, "every": 25}
    split = SEQUENCES["spoken-digits"](Settings("b", budget), Seed(3))
    searched = SEQUENCES["spoken-digits"](Settings("b", {**budget, "validate": True}), Seed(3))
    assert (split.x.shape[1], split.test_x.shape[1]) == (80, 40)
    assert (searched.x.shape[1], searched.test_x.shape[1]) == (60, 20)
    held = {tuple(clip) for clip in split.x.permute(1, 0, 2).flatten(1).tolist()}
    assert held >= {tuple(clip) for clip in searched.test_x.permute(1, 0, 2).flatten(1).tolist()}


def test_scores_of_networks_that_broke_are_finite():
    nan = torch.full((4, 3), float("nan"))
    assert accuracy(nan, torch.tensor([0, 1, 2, 0])) == {"accuracy": 0.0}
    assert explained(nan[:, 0], torch.tensor([0.0, 1.0, 2.0, 3.0])) == {"explained": -1.0}
    assert explained(torch.full((4,), 1e9), torch.tensor([0.0, 1.0, 2.0, 3.0])) == {"explained": -1.0}
    with pytest.raises(ValueError, match="without a size"):
        drive_of(Izhikevich(dt=1e-3), steps=10, share=0.1)
