"""The board of memories: every memory is asked what it was told, by the same session, in the setting that was chosen; scores by hand."""

import inspect
import math
from pathlib import Path

import pytest
import torch
from torch import nn

import neuropil.memory
from neuropil.atlas import AtlasError, Seed, Settings
from neuropil.boards.memories import OWN, board, crossing, make
from neuropil.boards.recall import RECALL, ListMemory, f1
from neuropil.memory import MEMORIES

ASSAYS = {task: board.on(task) for task in board.tasks}
ALL = [(task, name) for task, assay in ASSAYS.items() for name in assay.arms]


def run(task: str, name: str, choice: int = 1, **changed):
    assay = ASSAYS[task]
    arm = Settings(name, {**assay.arms[name], "choice": choice})
    return assay.compute(arm, Settings("smoke", {**assay.budgets["smoke"], **changed}), [Seed(1000)])[0]


@pytest.mark.parametrize(("task", "name"), ALL)
def test_every_memory_does_every_task_it_can_and_says_what_it_took(task, name):
    found = run(task, name)
    assert set(found) == {ASSAYS[task].task.on, *board.costs}
    assert found == {**run(task, name), "write": found["write"], "recall": found["recall"]}
    matrix = {"places": 16 * 64}.get(task, 64 * 64) * (2 if name == "SpikingCAM" else 1)
    between = task == "places" and name in ("DualCoding", "Neural-deep", "Sparsey", "Sparsey-random")
    assert found["synapses"] == (pytest.approx(matrix, rel=80 / matrix) if between else matrix)  # a cell between cue and content has 80
    assert found[ASSAYS[task].task.on] > 0


def test_the_librarys_memories_are_all_there_and_refusals_have_reasons():
    assert {settings["memory"] for settings in OWN.values()} == {
        part.name for part in MEMORIES if part.make.__module__.startswith("neuropil.")
    }
    assert set(ASSAYS["places"].refused) == {"Hopfield", "Hopfield-dense", "ConsolidatedHebb"}
    assert ASSAYS["pairs"].refused == ASSAYS["copy"].refused == {"SpikingCAM": "its cues are single cells"}


def test_every_memory_is_in_the_guide_where_it_is_on_the_board_or_why_it_is_not():
    guide = (Path(__file__).parents[2] / "docs" / "memories.md").read_text()
    on_board, off = guide.split("## Memories that are not on the board")
    found = {name: getattr(neuropil.memory, name) for name in neuropil.memory.__all__}
    modules = {name for name, one in found.items() if inspect.isclass(one) and issubclass(one, nn.Module)}
    registered = {part.name for part in MEMORIES} & modules
    assert not [name for name in registered if f"`{name}`" not in on_board]
    assert not [name for name in modules - registered if f"`{name}`" not in off]
    assert not [task for task in board.tasks if f"`{task}`" not in on_board]


@pytest.mark.parametrize("task", ["fragments", "noise", "pairs", "copy", "sequence", "overwritten", "places"])
def test_what_is_right_follows_from_what_was_written(task):
    """A dictionary from cues to contents, kept by hand, answers every question rightly; parts and strays by the pattern that they share most cells with."""
    assay = ASSAYS[task]
    session = RECALL[task](Settings("smoke", assay.budgets["smoke"]), Seed(1001))
    held = {}
    for (cue, content), replaced in zip(session.written, session.replaced, strict=True):
        before = held.get(tuple(cue.tolist()))
        assert replaced is None or torch.equal(before, replaced)
        held[tuple(cue.tolist())] = content
    for cue, right in session.asked:
        for wanted in right.view(-1, right.shape[-1]):
            if task in ("fragments", "noise"):
                key = max(held, key=lambda one: float(torch.tensor(one) @ cue))
                assert float(torch.tensor(key) @ cue) in (2.0, 3.0)
            else:
                key = tuple(cue.tolist())
            assert torch.equal(held[key], wanted)
            cue = held[key]


def test_a_part_has_half_the_cells_and_a_stray_cue_as_many_as_before():
    for task, active in (("fragments", 2), ("noise", 4)):
        session = RECALL[task](Settings("smoke", ASSAYS[task].budgets["smoke"]), Seed(1002))
        assert {int(cue.sum()) for cue, _ in session.asked} == {active}


def test_the_old_are_asked_as_often_as_the_new():
    for task in ("fragments", "noise", "pairs"):
        session = RECALL[task](Settings("smoke", ASSAYS[task].budgets["smoke"]), Seed(1004))
        contents = [content for _, content in session.written]
        places = [next(k for k, content in enumerate(contents) if torch.equal(content, right)) for _, right in session.asked]
        assert places == [0, 3, 6, 10, 13, 16, 19, 23, 26, 29]


def test_positions_of_a_copy_are_bumps_that_move_on_by_one_cell_and_all_are_asked_in_order():
    session = RECALL["copy"](Settings("smoke", ASSAYS["copy"].budgets["smoke"]), Seed(1003))
    cues = torch.stack([cue for cue, _ in session.asked])
    assert cues.shape == (64, 64)
    assert torch.equal(cues[1:], cues[:-1].roll(1, 1))
    assert ((cues @ cues.T)[0, :6]).tolist() == [4, 3, 2, 1, 0, 0]
    assert all(one is other for one, other in zip(session.asked, session.written, strict=True))


def test_overwriting_without_a_word_is_what_sets_memories_apart_at_places():
    found = {name: run("places", name)["f1"] for name in ASSAYS["places"].arms}
    assert found["SpikingCAM"] == found["List"] == 1
    assert run("places", "KeyValue-delta", choice=3)["f1"] == 1
    assert max(found["KeyValue-hebb"], found["WillshawMemory"]) < 0.9


def test_the_choice_sets_the_one_setting_of_a_memory():
    budget = Settings("board", ASSAYS["fragments"].budgets["board"])
    session = RECALL["fragments"](Settings("smoke", {**budget, "patterns": 3}), Seed(1))

    def made(name: str, choice: int):
        return make(Settings(name, {**OWN[name], "choice": choice}), "fragments", budget, session, Seed(1))

    assert [made("WillshawMemory", c).threshold for c in range(4)] == [
        math.ceil(share * 4 - 1e-9) for share in OWN["WillshawMemory"]["values"]
    ]
    assert [made("Hopfield", c).inertia for c in range(4)] == list(OWN["Hopfield"]["values"])
    assert made("Hopfield", 0).steps == 20
    assert made("Hopfield", 0).activity == 8 / 256
    assert made("Hopfield-dense", 0).activity == 0.5
    assert made("KeyValue-delta", 3).strength == 1
    assert [made("Sparsey", c).field.competitive for c in range(4)] == list(OWN["Sparsey"]["values"])
    assert (made("Sparsey", 0).field.least, made("Sparsey-random", 0).field.gain) == (0.4, 0.0)
    assert torch.equal(made("Neural-deep", 0).network.start[0], made("Neural-deep", 1).network.start[0])
    assert made("Neural-matrix", 0).network.hidden == ()


def test_scores_and_crossings_by_hand():
    right = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    assert f1(torch.tensor([[1.0, 1, 1, 0], [0, 0, 0, 0]]), right) == pytest.approx((2 * 2 / 5 + 0) / 2)
    assert crossing((10, 20, 40), [1.0, 0.95, 0.85]) == pytest.approx(30)
    assert crossing((10, 20), [0.8]) == pytest.approx(5)
    assert crossing((10, 20), [1.0, 0.99]) == 20


def test_the_list_keeps_as_many_pairs_as_its_bits_allow_and_the_newest():
    memory = ListMemory(3, 3, length=2)
    rows = torch.eye(3)
    s = memory.initial()
    for row in rows:
        s = memory.write(s, row, row)
    assert torch.equal(s.cues, rows[1:])
    s = memory.write(s, rows[1], rows[0])
    assert torch.equal(memory.recall(s, rows[1])[0], rows[0])
    assert len(s.cues) == 2
    budget = Settings("board", ASSAYS["pairs"].budgets["board"])
    session = RECALL["pairs"](budget, Seed(1))
    assert make(Settings("List", {"memory": "List", "choice": 0}), "pairs", budget, session, Seed(1)).length == 256 * 256 // (16 * 8)


def test_an_own_memory_takes_part_and_an_unknown_one_is_named(tmp_path):
    (tmp_path / "mine.py").write_text(
        '"""A memory of the last pair."""\nfrom torch import nn\n\n\nclass Last(nn.Module):\n    """It."""\n\n    synapses = ("w",)\n\n'
        "    def __init__(self, cue_size, content_size):\n        super().__init__()\n        self.cue_size, self.content_size = cue_size, content_size\n\n"
        '    def initial(self):\n        import torch\n        return {"w": torch.zeros(self.content_size, self.cue_size)}\n\n'
        '    def write(self, s, cue, content):\n        return {"w": content[:, None] * cue}\n\n'
        '    def recall(self, s, cue):\n        return (s["w"] @ cue > 0).float(), s\n'
    )
    name = f"{tmp_path / 'mine.py'}:Last"
    assay = board.on("pairs", (name,))
    found = assay.compute(Settings(name, {**assay.arms[name], "choice": 0}), Settings("smoke", assay.budgets["smoke"]), [Seed(1000)])[0]
    assert found["synapses"] == 64 * 64
    with pytest.raises(AtlasError, match="no entry 'Hopfeld'; did you mean 'Hopfield'"):
        board.on("pairs", ("Hopfeld",))
