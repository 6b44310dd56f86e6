"""The board of strategies: every strategy learns every stream that it can, on the same examples, and what it costs is counted."""

import inspect
from pathlib import Path

import pytest
import torch

from neuropil.atlas import AtlasError, Seed, Settings
from neuropil.atlas.space import points
from neuropil.boards.strategies import MEMORY, board, make
from neuropil.boards.streams import stream
from neuropil.continual import STRATEGIES
from neuropil.data import status

ENTRIES = list(board.entries())
HERE = [task for task, what in board.tasks.items() if all(status(name).where != "not here" for name in what.data)]
OWN = '''
from neuropil.continual import FineTuning


class Slow(FineTuning):
    """Goes back half of the way after every step."""

    def step(self, model, batch, state):
        before = [one.detach().clone() for one in model.parameters()]
        state, said = super().step(model, batch, state)
        for one, was in zip(model.parameters(), before, strict=True):
            one.data.lerp_(was, 0.5)
        return state, said


class Other:
    """No strategy."""
'''


def run(task: str, name: str, rate: float = 0.1, own: int = 1, seed: int = 1000, budget: str = "smoke", **changed):
    assay = board.on(task, [name])
    arm = Settings(name, {**assay.arms[name], "rate": rate, "own": own, **changed})
    return assay.compute(arm, Settings(budget, assay.budgets[budget]), [Seed(seed)])[0]


def counted(found):
    return {name: value for name, value in found.items() if name != "step"}


def test_every_strategy_of_the_library_is_on_it_from_its_own_file():
    assert set(ENTRIES) == {part.name for part in STRATEGIES if part.make.__module__.startswith("neuropil.continual.")}
    for name, entry in board.entries().items():
        assert entry.file == Path(inspect.getfile(STRATEGIES[name].make))
        assert entry.cites == STRATEGIES[name].cites


@pytest.mark.parametrize("name", ENTRIES)
def test_every_strategy_has_sixteen_different_points_and_the_same_memory(name):
    made = set()
    for point in points(board.grid):
        strategy = make(board.entries()[name].settings, point["rate"], int(point["own"]), 5, None)
        (group,) = strategy.optimizer([torch.zeros(1)]).param_groups
        own = {key: value for key, value in vars(strategy).items() if isinstance(value, int | float)}
        made.add((round(group["lr"], 6), *own.items()))
        assert own.get("capacity", MEMORY) == MEMORY
        assert own.get("per_task", MEMORY // 5) == MEMORY // 5
    assert len(made) == 16


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("task", ["permuted-task", "split-class"])
def test_every_strategy_learns_and_says_its_costs(task, name):
    found = run(task, name)
    assert set(found) == {"accuracy", *board.costs}
    assert 0 <= found["accuracy"] <= 1
    learned, _ = board.tasks[task].smoke["resplit"]
    assert found["forward"] >= found["backward"] >= 0.98 * learned
    if task == "split-class":
        assert counted(run(task, name)) == counted(found)


@pytest.mark.parametrize("task", HERE)
def test_every_task_can_be_learned_and_chance_is_where_it_is_said(task):
    found, still = (run(task, "FineTuning", rate=rate) for rate in (0.3, 1e-9))
    assert found["learning"] > still["learning"]
    assert still["accuracy"] == pytest.approx(board.tasks[task].metric.floor, abs=0.17)


@pytest.mark.parametrize("task", ["split-class-blurred", "rotated-domain-absent"])
def test_tasks_that_are_not_announced_are_refused_by_those_who_must_be_told(task):
    assay = board.on(task)
    assert {"ExperienceReplay", "FineTuning", "DarkExperienceReplay"} <= set(assay.arms)
    assert "LwF must be told when a task begins and ends" in assay.refused["LwF"]
    assert not board.on("split-class").refused


def test_examples_that_come_once_are_refused_by_those_who_go_over_them_again():
    assay = board.on("split-class-online")
    assert {"AGEM", "DarkExperienceReplay", "ExperienceReplay", "FineTuning", "LwF", "SynapticIntelligence"} <= set(assay.arms)
    assert {"EWC", "Joint", "RecencyRehearsal"} <= set(assay.refused)


def test_an_end_of_the_search_is_said_unless_it_is_a_natural_bound():
    """All that is kept can be drawn, and no more; sixteen rates have two ends, wherever their four coarse ones lie."""
    entries, (low, *_, high) = board.entries(), board.grid["rate"].values

    def ends(name, rate, own):
        return board.edges(entries[name], {"rate": rate, "own": own})

    assert ends("EWC", 0.6, 1) == []
    assert ends("EWC", high, 0) == ["rate", "own"]
    assert ends("EWC", 0.6, 3) == ["own"]
    assert (ends("ExperienceReplay", 0.6, 3), ends("ExperienceReplay", 0.6, 0)) == ([], ["own"])
    assert entries["ExperienceReplay"].settings["values"][3] == MEMORY
    assert [own for own in range(4) if ends("FineTuning", high, own)] == [3]
    assert [own for own in range(4) if ends("FineTuning", low, own)] == [0]
    assert ends("FineTuning", 0.6, 0) == ends("FineTuning", 0.6, 3) == []


@pytest.mark.parametrize("entry", ["FineTuning", "Joint"])
def test_the_rates_of_those_without_a_setting_are_evenly_spaced(entry):
    factors = board.entries()[entry].settings["values"]
    rates = torch.tensor([rate * factor for rate in board.grid["rate"].values for factor in factors]).log()
    torch.testing.assert_close(rates.diff(), torch.full((15,), 5.0**0.25).log())


def test_learning_is_learning_and_forgetting_what_is_known_of_it():
    """Class-incrementally, fine-tuning knows the last of five tasks alone; all together are learned well; replay lies between."""
    found = {name: run("split-class", name, own=2, budget="board") for name in ("FineTuning", "ExperienceReplay", "Joint")}
    assert found["FineTuning"]["accuracy"] == pytest.approx(0.2, abs=0.05)
    assert found["FineTuning"]["forgetting"] > 0.9
    assert 0.5 < found["ExperienceReplay"]["accuracy"] < found["Joint"]["accuracy"]
    assert found["Joint"]["accuracy"] > 0.85


def test_all_learn_from_the_same_examples_in_the_same_order():
    for task in ("permuted-domain", "split-task"):
        plain = run(task, "FineTuning", values=(1.0,) * 4)
        for name, off in (("EWC", {"values": (0.0,) * 4}), ("LwF", {"values": (0.0,) * 4})):
            assert run(task, name, **off)["accuracy"] == plain["accuracy"]


def test_costs_are_what_each_does():
    """Some hundred and fifty examples a task, five tasks, one pass, batches of fifty: fifteen updates, three a task."""
    found = {name: run("rotated-domain", name, own=0) for name in ENTRIES}
    plain = found["FineTuning"]
    shown, numbers = plain["backward"], 64 * 64 + 64 + 640 + 10
    assert 140 < shown / 5 <= 150
    assert (plain["updates"], plain["forward"], plain["stored"]) == (15, shown, 0)
    assert {result["parameters"] for result in found.values()} == {numbers}
    assert {found[name]["updates"] for name in ENTRIES if name != "Joint"} == {15}
    assert found["Joint"]["updates"] == 15 * 3
    assert found["Joint"]["backward"] == 3 * shown
    assert found["Joint"]["stored"] == shown * 65
    assert found["ExperienceReplay"]["backward"] == shown + 14 * 12
    assert found["ExperienceReplay"]["stored"] == MEMORY * 65 + 1
    assert found["AGEM"]["backward"] == shown + 12 * 12
    assert found["AGEM"]["stored"] == MEMORY * 65 + 1
    assert found["DarkExperienceReplay"]["backward"] == shown + 14 * 2 * 25
    assert found["EWC"]["backward"] == 2 * shown  # Fisher information needs a gradient of every example
    assert found["EWC"]["stored"] == 2 * numbers
    assert (found["LwF"]["forward"], found["LwF"]["backward"]) == (shown + shown * 4 // 5, shown)
    assert found["LwF"]["stored"] == numbers
    assert found["SynapticIntelligence"]["stored"] == 3 * numbers


@pytest.mark.parametrize("name", ["permuted", "rotated", "split"])
def test_a_search_does_not_see_the_test(name):
    budget = board.tasks[f"{name}-domain"].budget
    learned, searched = (stream(name, "domain", Settings("b", b), Seed(4)) for b in (budget, {**budget, "validate": True}))

    def rows(tasks):
        return {row.numpy().tobytes() for task in tasks for row in task.inputs.flatten(1)}

    own, tested, validated = (rows(part) for part in (learned.tasks, map(learned.test, range(5)), map(searched.test, range(5))))
    assert rows(searched.tasks) == own  # no shorter a training
    assert sum(map(len, learned.tasks)) == sum(map(len, searched.tasks))
    for one, other in ((own, tested), (own, validated), (tested, validated)):
        assert len(one & other) < 0.02 * len(other)  # a few pictures are in the pool twice


def test_sessions_are_few_shot_and_a_search_has_as_many_shots():
    for validate in (False, True):
        given = stream("sessions", "class", Settings("b", {**board.tasks["sessions-class"].budget, "validate": validate}), Seed(3))
        sizes = [len(task) for task in given.tasks]
        assert sizes[0] > 300
        assert sizes[1:] == [10, 10, 10]
        assert min(len(given.test(k)) for k in range(4)) > 50


@pytest.mark.skipif(status("mnist").where == "not here", reason="mnist is not on this machine")
def test_a_seed_draws_a_few_hundred_pictures_of_each_class_of_mnist():
    given = stream("mnist", "class", Settings("b", board.tasks["mnist-class"].budget), Seed(3))
    assert [task.inputs.shape[1:] for task in given.tasks] == [(14, 14)] * 5
    counts = torch.cat([task.labels for task in given.tasks]).bincount()
    assert len(counts) == 10
    assert 150 < counts.min() <= counts.max() < 250
    assert sum(len(given.test(k)) for k in range(5)) == pytest.approx(1000, abs=5)


@pytest.mark.skipif(status("fsdd").where == "not here", reason="fsdd is not on this machine")
def test_each_task_of_speakers_is_one_speaker_who_says_all_digits():
    task = board.tasks["speakers-domain"]
    budget = Settings("b", {**task.budget, **task.smoke})
    by_class, by_domain = (stream("speakers", setting, budget, Seed(3)) for setting in ("class", "domain"))
    assert len(by_class.tasks) == 6
    for k, (one, other) in enumerate(zip(by_class.tasks, by_domain.tasks, strict=True)):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.labels, other.labels + 10 * k)
        assert other.labels.unique().tolist() == list(range(10))
    orders = {tuple(stream("speakers", "class", budget, Seed(seed)).tasks.classes) for seed in range(3)}
    assert len(orders) == 3


def test_a_strategy_of_ones_own_stands_beside_the_others(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    name = f"{file}:Slow"
    assert board.find(["EWC", name])[name].file == file
    slow, plain = run("rotated-domain", name, rate=0.1), run("rotated-domain", "FineTuning", rate=0.05)
    assert slow["accuracy"] == pytest.approx(plain["accuracy"], abs=0.01)
    assert run("rotated-domain", name, rate=0.3)["accuracy"] != slow["accuracy"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("EWV", r"board strategies has no entry 'EWV'; did you mean 'EWC'\? it has .*; or give FILE.py:Class"),
        ("nowhere.py:Mine", "There is no file nowhere.py; give a strategy of your own as FILE.py:Class"),
        ("{file}:Other", "mine.py has no Strategy named 'Other'"),
    ],
)
def test_entries_that_are_none_are_refused_in_a_sentence(tmp_path, name, says):
    (tmp_path / "mine.py").write_text(OWN)
    with pytest.raises(AtlasError, match=says):
        board.find([name.format(file=tmp_path / "mine.py")])
