import pytest
import torch

from neuropil.data import move_active, sparse_patterns
from neuropil.geometry import false_match, missed_match
from neuropil.synapses import ActiveDendrites


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("n", "active", "synapses", "threshold", "segments"), [(300, 24, 16, 4, 1), (400, 20, 10, 3, 4), (120, 40, 20, 10, 1)]
)
def test_random_patterns_match_as_often_as_the_law_says(n, active, synapses, threshold, segments):
    """Cells with segments on patterns of their own, each tried on other random patterns: 400 cells, so that chance weights average out."""
    stored = sparse_patterns(400 * segments, n, active, generator(1)).unflatten(0, (400, segments))
    cells = ActiveDendrites.storing(stored, synapses=synapses, threshold=threshold, generator=generator(2))
    with torch.no_grad():
        found = cells(sparse_patterns(500, n, active, generator(3))).mean().item()
    expected = 1 - (1 - false_match(n, active, synapses, threshold)) ** segments
    assert found == pytest.approx(expected, abs=5 * (expected / 200_000) ** 0.5 + 0.03 * expected)


def test_own_patterns_are_missed_as_often_as_the_law_says():
    patterns = sparse_patterns(2000, 300, 20, generator(4))
    cells = ActiveDendrites.storing(patterns[:, None], synapses=10, threshold=8, generator=generator(5))
    with torch.no_grad():
        missed = 1 - cells(move_active(patterns, 4, generator(6))).diagonal().mean().item()
    expected = missed_match(20, 10, 8, 4)
    assert 0.1 < expected < 0.9
    assert missed == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 2000) ** 0.5)


def test_segments_sit_on_active_inputs_and_hold_no_more_than_there_are():
    patterns = torch.tensor([[[1.0, 1, 1, 0, 0], [0, 0, 0, 0, 1]]])
    cell = ActiveDendrites.storing(patterns, synapses=2, threshold=2, generator=generator())
    assert cell.weight.sum(-1).tolist() == [[2, 1]]
    assert (cell.weight <= patterns).all()
    assert (ActiveDendrites(30, 2, segments=3, synapses=7, threshold=5).weight.sum(-1) == 7).all()


def test_any_segment_is_enough_and_one_segment_is_the_linear_threshold_unit():
    patterns = torch.tensor([[[1.0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]])
    cell = ActiveDendrites.storing(patterns, synapses=3, threshold=3)
    x = torch.tensor([[1.0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 1, 0, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    assert cell(x).squeeze(-1).tolist() == [1, 1, 0, 1]
    assert cell.active_segments(x)[:, 0].tolist() == [[1, 0], [0, 1], [0, 0], [1, 1]]
    unit = ActiveDendrites(6, 2, segments=1, synapses=6, threshold=0.5)
    with torch.no_grad():
        unit.weight.copy_(torch.randn(unit.weight.shape, generator=generator(7)))
    x = torch.randn(50, 6, generator=generator(8))
    assert (unit(x) == (x @ unit.weight[:, 0].T >= 0.5)).all()


def test_gradients_reach_the_segment_with_most_active_synapses():
    patterns = torch.tensor([[[1.0, 1, 1, 0], [0, 0, 0, 1]]])
    cell = ActiveDendrites.storing(patterns, synapses=3, threshold=3)
    cell(torch.tensor([1.0, 1, 0, 1])).sum().backward()
    assert cell.weight.grad[0, 0].abs().sum() > 0
    assert cell.weight.grad[0, 1].abs().sum() == 0


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"synapses": 5}, "at most one synapse from each of 4"),
        ({"threshold": 0}, "above 0, 0 was given"),
        ({"segments": 0}, "number of segments"),
    ],
)
def test_impossible_cells_are_refused(changed, error):
    with pytest.raises(ValueError, match=error):
        ActiveDendrites(4, **{"out_size": 1, "segments": 2, "synapses": 2, "threshold": 2, **changed})
    with pytest.raises(ValueError, match="for one cell give patterns"):
        ActiveDendrites.storing(torch.ones(2, 4), synapses=1, threshold=1)
