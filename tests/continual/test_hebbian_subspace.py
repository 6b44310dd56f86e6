"""HLOP: its fixed point is the exact principal subspace (scipy's principal angles), one batch by numpy from the equations, old rows left alone."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from torch.testing import assert_close

from neuropil.continual import GradientProjection, HebbianSubspace, random_rows

SIZE = 16


def batches(seed, number, energies, basis):
    random = np.random.default_rng(seed)
    x = random.normal(size=(number, 64, SIZE)) * np.sqrt(energies) @ basis.T
    return torch.from_numpy(x)


@pytest.fixture(scope="module")
def basis():
    return np.linalg.qr(np.random.default_rng(0).normal(size=(SIZE, SIZE)))[0]


def learned(subspace, batches, start):
    subspace.grow(start)
    for x in batches:
        subspace.learn(x)
    subspace.consolidate()
    return subspace


def rows(rank, seed):
    return random_rows(rank, SIZE, torch.Generator().manual_seed(seed)).double()


def test_it_finds_the_exact_principal_subspace_and_becomes_orthonormal(basis):
    energies = np.array([4.0, 3.0, 2.0, 1.5] + [0.1] * 12)
    subspace = learned(HebbianSubspace(SIZE, rate=0.005).double(), batches(1, 400, energies, basis), rows(4, 2))
    assert subspace_angles(subspace.rows.numpy().T, basis[:, :4]).max() < 0.03
    assert subspace_angles(rows(4, 2).numpy().T, basis[:, :4]).max() > 0.5
    assert_close(subspace.rows @ subspace.rows.mT, torch.eye(4, dtype=torch.float64), atol=0.02, rtol=0)


def test_on_one_repeated_batch_it_converges_to_the_svd_to_rounding(basis):
    x = batches(3, 1, np.array([4.0, 3.0, 2.0] + [0.1] * 13), basis)
    subspace = learned(HebbianSubspace(SIZE, rate=0.05, momentum=0.0).double(), x.expand(600, -1, -1), rows(3, 4))
    exact = GradientProjection(SIZE).double()
    exact.add(x[0], rank=3)
    assert subspace_angles(subspace.rows.numpy().T, exact.rows.numpy().T).max() < 1e-6
    assert_close(subspace.project(x[0]), exact.project(x[0]), atol=1e-6, rtol=0)


def test_a_second_task_adds_the_leading_directions_outside_the_old_rows(basis):
    first = np.array([4.0, 3.0] + [0.05] * 14)
    second = np.array([4.0, 0.05, 0.05, 3.0, 2.0] + [0.05] * 11)
    subspace = learned(HebbianSubspace(SIZE, rate=0.02).double(), batches(5, 400, first, basis), rows(2, 6))
    old = subspace.rows.clone()
    learned(subspace, batches(7, 400, second, basis), rows(2, 8))
    assert torch.equal(subspace.rows[:2], old)
    assert subspace_angles(subspace.rows[2:].numpy().T, basis[:, 3:5]).max() < 0.05
    assert subspace_angles(subspace.rows.numpy().T, basis[:, [0, 1, 3, 4]]).max() < 0.05


def test_one_batch_by_numpy_from_the_equations():
    """All rows together, as the circuit has them: old ones feed back to xhat and are held, momentum weighs 0.9 and 0.1, changes are clipped."""
    x = torch.from_numpy(np.random.default_rng(9).normal(size=(8, SIZE)) * 3)
    subspace = HebbianSubspace(SIZE, rate=0.01, clip=0.5, iterations=3).double()
    learned(subspace, x[None], rows(2, 10))
    subspace.grow(rows(3, 11))
    h, v = np.concatenate([subspace.rows.numpy(), subspace.growing.numpy()]), np.zeros((5, SIZE))
    subspace.learn(x)
    for _ in range(3):
        change = np.zeros((5, SIZE))
        for item in x.numpy():
            y = h @ item
            change += np.outer(y, item - h.T @ y) / 8
        change = np.clip(change, -0.5, 0.5)
        assert np.abs(change).max() == 0.5
        v = 0.9 * v + 0.1 * change
        v[:2] = 0
        h = h + 0.01 * v
    assert_close(subspace.growing, torch.from_numpy(h[2:]))
    assert_close(subspace.velocity, torch.from_numpy(v[2:]))


def test_growing_rows_do_not_project_until_the_task_ends():
    subspace = HebbianSubspace(SIZE)
    x = torch.randn(8, SIZE)
    subspace.grow(rows(3, 0).float())
    subspace.learn(x)
    assert torch.equal(subspace.project(x), x)
    subspace.consolidate()
    assert subspace.rank == 3
    assert not torch.equal(subspace.project(x), x)


def test_replicas_learn_alone():
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 8, SIZE)))
    start = torch.stack([rows(3, 0), rows(3, 1)])
    both = learned(HebbianSubspace(SIZE, leading=(2,)).double(), x[None], start)
    for k in range(2):
        assert_close(both.rows[k], learned(HebbianSubspace(SIZE).double(), x[None, k], start[k]).rows)


def test_state_dict_round_trip_amid_growth():
    subspace, other = HebbianSubspace(SIZE), HebbianSubspace(SIZE)
    x = torch.randn(8, SIZE)
    learned(subspace, x[None], rows(2, 0).float())
    subspace.grow(rows(3, 1).float())
    subspace.learn(x)
    other.load_state_dict(subspace.state_dict())
    for part in (subspace, other):
        part.learn(x)
        part.consolidate()
    assert torch.equal(subspace.rows, other.rows)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"rate": 0.0}, "rate"), ({"clip": -1.0}, "clip"), ({"momentum": 1.0}, "Momentum"), ({"iterations": 0}, "iterations")],
)
def test_settings_it_refuses(settings, said):
    with pytest.raises(ValueError, match=said):
        HebbianSubspace(SIZE, **settings)


def test_order_it_refuses():
    subspace = HebbianSubspace(SIZE)
    with pytest.raises(ValueError, match="No row is growing"):
        subspace.learn(torch.ones(2, SIZE))
    subspace.grow(rows(2, 0))
    with pytest.raises(ValueError, match="growing already"):
        subspace.grow(rows(2, 0))
    with pytest.raises(ValueError, match="takes inputs"):
        subspace.learn(torch.ones(2, SIZE + 1))
