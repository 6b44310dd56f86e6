"""GPM against numpy's SVD from the paper's equations; updates that leave old outputs as they were; spans and angles by scipy."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from torch.testing import assert_close

from neuropil.continual import GradientProjection, Subspace, principal_subspace, random_rows, subspace_overlap


def spread_inputs(seed, number=60, size=12, rank=None):
    random = np.random.default_rng(seed)
    basis = random.normal(size=(size, size)) * 0.6 ** np.arange(size)[None]
    return torch.from_numpy(random.normal(size=(number, rank or size)) @ basis[:, : rank or size].T)


def gpm_by_numpy(tasks, threshold):
    """The paper's memory, columns: SVD of what a task's inputs leave outside it, as many vectors as the threshold asks for."""
    memory = np.zeros((tasks[0].shape[1], 0))
    added = []
    for x in tasks:
        r = x.T
        rest = r - memory @ memory.T @ r
        u, s, _ = np.linalg.svd(rest, full_matrices=False)
        total, held = (r**2).sum(), (r**2).sum() - (rest**2).sum()
        k = 0
        while held + (s[:k] ** 2).sum() < threshold * total:
            k += 1
        memory = np.concatenate([memory, u[:, :k]], axis=1)
        added.append(k)
    return memory, added


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.99])
def test_gpm_is_the_papers_memory_by_numpy(threshold):
    tasks = [spread_inputs(seed) for seed in range(3)]
    memory = GradientProjection(12).double()
    added = [memory.add(x, threshold=threshold) for x in tasks]
    expected, numbers = gpm_by_numpy([x.numpy() for x in tasks], threshold)
    assert added == numbers
    assert_close(memory.rows.mT @ memory.rows, torch.from_numpy(expected @ expected.T), atol=1e-10, rtol=0)
    assert memory.captured(tasks[-1]) >= threshold - 1e-12


def test_a_given_rank_is_the_exact_principal_subspace_of_what_is_left():
    first, second = spread_inputs(0), spread_inputs(1)
    memory = GradientProjection(12).double()
    assert memory.add(first, rank=3) == 3
    _, _, vt = np.linalg.svd(first.numpy())
    assert subspace_angles(memory.rows.numpy().T, vt[:3].T).max() < 1e-6
    memory.add(second, rank=2)
    rest = second.numpy() @ (np.eye(12) - vt[:3].T @ vt[:3])
    _, _, vt2 = np.linalg.svd(rest)
    assert subspace_angles(memory.rows[3:].numpy().T, vt2[:2].T).max() < 1e-6
    assert_close(memory.rows @ memory.rows.mT, torch.eye(5, dtype=torch.float64))


def test_projected_descent_leaves_outputs_on_old_inputs_unchanged():
    old, new = spread_inputs(0, rank=4), spread_inputs(1)
    layer = torch.nn.Linear(12, 5, bias=False).double()
    before_old, before_new = layer(old).detach(), layer(new).detach()
    memory = GradientProjection(12).double()
    assert memory.add(old, threshold=1.0) == 4
    for step in range(20):
        layer.zero_grad()
        (layer(new) - step).square().mean().backward()
        gradient = layer.weight.grad.clone()
        layer.weight.grad = memory.project(gradient)
        # the trace projected before the outer product gives the same update
        delta = 2 * (layer(new) - step).detach() / new.shape[0] / 5
        assert_close(layer.weight.grad, delta.mT @ memory.project(new))
        torch.optim.SGD(layer.parameters(), lr=0.1).step()
    assert_close(layer(old).detach(), before_old, atol=1e-10, rtol=0)
    assert (layer(new) - before_new).abs().max() > 0.1


def test_strength_scales_what_is_removed_and_zero_is_off():
    x = spread_inputs(0)
    memory = GradientProjection(12).double()
    memory.add(x, rank=4)
    assert torch.equal(memory.project(x, 0.0), x)
    assert_close(memory.project(x, 0.5), (x + memory.project(x)) / 2)
    assert memory.captured(x, 0.0) == 0
    by_hand = (x @ memory.rows.mT).square().sum() / x.square().sum()
    assert_close(memory.captured(x), by_hand)


def test_extend_is_orthonormal_against_what_is_held_and_keeps_the_span():
    space = Subspace(9).double()
    a, b = (torch.randn(3, 9, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in range(2))
    space.extend(a)
    space.extend(b)
    assert_close(space.rows @ space.rows.mT, torch.eye(6, dtype=torch.float64))
    assert subspace_angles(space.rows.numpy().T, torch.cat([a, b]).numpy().T).max() < 1e-6


def test_rows_that_add_nothing_are_completed_by_directions_outside():
    """Silent inputs twice, and rows that are held already: the subspace grows by as many directions as asked, all orthonormal."""
    memory = GradientProjection(9).double()
    for _ in range(2):
        memory.add(torch.zeros(20, 9, dtype=torch.float64), rank=3)
    assert_close(memory.rows @ memory.rows.mT, torch.eye(6, dtype=torch.float64))
    memory.extend(memory.rows[:2])
    assert_close(memory.rows @ memory.rows.mT, torch.eye(8, dtype=torch.float64))


def test_replicas_have_subspaces_of_their_own():
    x = torch.stack([spread_inputs(0), spread_inputs(1)])
    both = GradientProjection(12, leading=(2,)).double()
    both.add(x, rank=3)
    for k in range(2):
        one = GradientProjection(12).double()
        one.add(x[k], rank=3)
        assert_close(both.project(x)[k], one.project(x[k]))
        assert_close(both.captured(x)[k], one.captured(x[k]))


def test_overlap_is_the_mean_squared_cosine_of_scipys_angles():
    a, b = (torch.randn(4, 10, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in range(2))
    angles = subspace_angles(a.numpy().T, b.numpy().T)
    assert subspace_overlap(a, b).item() == pytest.approx(np.mean(np.cos(angles) ** 2))
    assert subspace_overlap(a, 3 * a.flip(0)).item() == pytest.approx(1)


def test_random_rows_are_orthonormal_and_overlap_any_span_by_chance():
    generator = torch.Generator().manual_seed(0)
    fixed = torch.eye(20)[:5]
    drawn = [random_rows(5, 20, generator) for _ in range(400)]
    assert_close(drawn[0] @ drawn[0].mT, torch.eye(5))
    assert np.mean([subspace_overlap(rows, fixed).item() for rows in drawn]) == pytest.approx(5 / 20, abs=0.01)
    assert np.abs(np.mean([rows.numpy() for rows in drawn], axis=0)).max() < 0.05


def test_principal_subspace_is_numpys():
    x = spread_inputs(3)
    _, _, vt = np.linalg.svd(x.numpy())
    assert subspace_angles(principal_subspace(x, 4).numpy().T, vt[:4].T).max() < 1e-6


def test_silent_units_and_repeated_values_do_not_stop_it():
    """Spikes of a net most of whose units are silent or always on: single precision fails to converge on some of these."""
    x = (torch.rand(3, 400, 300, generator=torch.Generator().manual_seed(0)) < torch.linspace(-1, 2, 300)).float() * 1.8
    rows = principal_subspace(x, 120)
    assert rows.dtype == torch.float32
    assert_close(rows @ rows.mT, torch.eye(120).expand(3, 120, 120), atol=1e-5, rtol=0)
    silent = GradientProjection(300, leading=(3,))
    silent.add(torch.zeros(3, 400, 300), rank=5)
    assert_close(silent.rows @ silent.rows.mT, torch.eye(5).expand(3, 5, 5), atol=1e-5, rtol=0)


def test_state_dict_round_trip():
    memory, other = GradientProjection(12).double(), GradientProjection(12).double()
    memory.add(spread_inputs(0), rank=4)
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.rows, memory.rows)


def test_what_it_refuses():
    memory = GradientProjection(4)
    with pytest.raises(ValueError, match="at least one dimension"):
        Subspace(0)
    with pytest.raises(ValueError, match=r"\[\.\.\., number, 4\]"):
        memory.project(torch.ones(2, 5))
    with pytest.raises(ValueError, match="either a rank or a threshold"):
        memory.add(torch.ones(2, 4))
    with pytest.raises(ValueError, match="share in"):
        memory.add(torch.ones(2, 4), threshold=1.5)
    with pytest.raises(ValueError, match="span at most 2"):
        memory.add(torch.ones(2, 4), rank=3)
    with pytest.raises(ValueError, match="do not fit"):
        memory.extend(torch.randn(5, 4))
    with pytest.raises(ValueError, match="like rank"):
        subspace_overlap(torch.ones(2, 4), torch.ones(3, 4))
    with pytest.raises(ValueError, match="orthonormal rows"):
        random_rows(5, 4, torch.Generator())
    with pytest.raises(ValueError, match="principal directions"):
        principal_subspace(torch.ones(2, 4), 5)
