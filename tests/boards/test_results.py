"""What boards have committed follows from its own numbers: ranks, seeds, tuning."""

import json

import numpy as np
import pytest

from neuropil.atlas.board import results
from neuropil.atlas.board.result import definition, plain
from neuropil.atlas.board.run import board_seeds
from neuropil.atlas.board.source import boards, find
from neuropil.atlas.statistics.ranks import rank

RESULTS = results()


@pytest.mark.parametrize("result", RESULTS, ids=[f"{result['board']}-{result['task']}" for result in RESULTS])
def test_committed_results_follow_from_their_own_numbers(result):
    """Ranks from the stored scores, seeds from the stored definition, one grid for all, the best point chosen."""
    board = find(result["board"]).load()
    assay, digests = board.on(result["task"]), result["provenance"]["data"]
    assert result["definition"] == json.loads(json.dumps(definition(assay, digests)))
    assert result["seeds"] == board_seeds(assay, digests)
    assert result["metric"] == plain(result["on"], assay.task.metric)
    sign = 1 if result["metric"]["better"] == "higher" else -1
    again = rank({n: e["scores"] for n, e in result["entries"].items()}, better=result["metric"]["better"], overlap=result["overlap"])
    assert result.get("refused", {}) == assay.refused
    for name, entry in result["entries"].items():
        assert (entry["rank"], tuple(entry["between"])) == (again[name].rank, again[name].between)
        assert entry["mean"] == pytest.approx(np.mean(entry["scores"]))
        tried = {json.dumps(trial["point"]): sign * np.mean(trial["values"]) for trial in entry["tuning"]}
        assert len(tried) == np.prod([len(grid.values) for grid in board.grid.values()])
        assert tried[json.dumps(entry["chosen"])] == max(tried.values())
        assert set(entry["costs"]) == set(board.costs)


def test_every_task_of_every_board_has_a_result():
    found = {(result["board"], result["task"]) for result in RESULTS}
    assert found == {(name, task) for name, source in boards().items() for task in source.load().tasks}
