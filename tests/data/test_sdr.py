import pytest
import torch

from neuropil.data import k_winners, move_active, sparse_patterns


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_patterns_have_their_active_cells_and_every_cell_its_turn():
    x = sparse_patterns(4000, 25, 5, generator())
    assert (x.sum(1) == 5).all()
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert (x.mean(0) - 0.2).abs().max() < 4 * (0.16 / 4000) ** 0.5
    together = (x.T @ x / 4000)[~torch.eye(25, dtype=bool)]
    assert (together - 5 * 4 / (25 * 24)).abs().max() < 0.015


def test_moving_keeps_the_number_and_moves_exactly_so_many():
    x = sparse_patterns(300, 40, 10, generator(1))
    for moved in (0, 3, 10):
        y = move_active(x, moved, generator(2))
        assert (y.sum(1) == 10).all()
        assert ((x * y).sum(1) == 10 - moved).all()
    assert (move_active(x, 0, generator()) == x).all()


def test_winners_are_the_largest_and_similar_inputs_have_similar_codes():
    assert k_winners(torch.tensor([[3.0, 1.0, 2.0, 2.0]]), 2).tolist() == [[1, 0, 1, 0]]
    x = torch.randn(200, 30, generator=generator(3))
    projection = torch.randn(30, 500, generator=generator(4))
    code, near, far = (k_winners(one @ projection, 20) for one in (x, x + 0.1 * torch.randn(x.shape, generator=generator(5)), x.flip(0)))
    assert (code * near).sum(1).mean() > 14
    assert (code * far).sum(1).mean() < 3


def test_refusals_say_what_to_do():
    x = sparse_patterns(3, 6, 4, generator())
    with pytest.raises(ValueError, match="3 active and 3 silent cells to move, one has 2"):
        move_active(x, 3, generator())
    with pytest.raises(ValueError, match="patterns of 0 and 1"):
        move_active(2 * x, 1, generator())
    with pytest.raises(ValueError, match="at most the 6 cells"):
        sparse_patterns(3, 6, 7, generator())
    with pytest.raises(TypeError, match="floating-point"):
        k_winners(torch.arange(3), 1)
