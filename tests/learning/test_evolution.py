import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from neuropil.learning import Evolution, centred_ranks


def quadratic(seed=0, size=4):
    rng = np.random.default_rng(seed)
    root, slope = rng.normal(size=(size, size)), rng.normal(size=size)
    curve = root @ root.T
    return (lambda x: -0.5 * np.einsum("...i,ij,...j", x, curve, x) + x @ slope), (lambda x: slope - curve @ x)


def test_the_estimate_on_a_quadratic_is_the_closed_form():
    """Antithetic differences of a quadratic are exactly 2 sigma e.grad F, so g = mean(e e^T) grad F, whatever sigma is."""
    value, slope = quadratic()
    for sigma in (0.01, 0.7):
        search = Evolution(sigma, 0.1, 30, shaping="returns")
        state = search.init(np.array([0.3, -1.0, 0.5, 2.0]))
        directions, members = search.ask(state, np.random.default_rng(3))
        assert_allclose(members[:30] + members[30:], 2 * np.tile(state.parameters, (30, 1)))
        found = search.gradient(directions, value(members))
        expected = directions.T @ directions / 30 @ slope(state.parameters)
        assert_allclose(found, expected, rtol=1e-9)
        assert_allclose(search.tell(state, directions, value(members)).parameters, state.parameters + 0.1 * expected, rtol=1e-9)
    many = Evolution(0.1, 0.1, 200_000, shaping="returns")
    start = many.init(state.parameters)
    directions, members = many.ask(start, np.random.default_rng(4))
    assert_allclose(many.gradient(directions, value(members)), slope(state.parameters), rtol=0.05, atol=0.1)


def test_ranks_are_those_of_the_authors_library():
    # the example in estorch, which the NCAP authors used
    assert_allclose(centred_ranks([-123, -50, 3, -5, 20, 10, 100]), [-1 / 2, -1 / 3, 0, -1 / 6, 1 / 3, 1 / 6, 1 / 2])
    assert_allclose(centred_ranks([2.0, 2.0, 2.0, 2.0]), 0)  # nothing to learn from, nothing learned
    assert_allclose(centred_ranks([1.0, 0.0, 1.0]), [0.25, -0.5, 0.25])


def test_rank_shaping_ignores_the_scale_of_returns():
    search = Evolution(0.1, 1.0, 6)
    directions, returns = np.random.default_rng(0).normal(size=(6, 3)), np.random.default_rng(1).normal(size=12)
    shaped = centred_ranks(returns)
    expected = sum((shaped[k] - shaped[k + 6]) * directions[k] for k in range(6)) / (2 * 6 * 0.1)
    assert_allclose(search.gradient(directions, returns), expected)
    assert_allclose(search.gradient(directions, np.exp(5 * returns)), expected)


def test_augmented_random_search_step_by_step():
    search = Evolution(0.1, 0.02, 5, shaping="ars", best=2)
    rng = np.random.default_rng(8)
    directions, returns = rng.normal(size=(5, 3)), rng.normal(size=10)
    pairs = [(returns[k], returns[k + 5], directions[k]) for k in range(5)]
    kept = sorted(pairs, key=lambda pair: -max(pair[0], pair[1]))[:2]
    spread = np.std([value for pair in kept for value in pair[:2]])
    expected = sum((up - down) * e for up, down, e in kept) * 0.02 / (2 * spread)
    state = search.init(np.zeros(3))
    assert_allclose(search.tell(state, directions, returns).parameters, expected)
    assert search.tell(state, directions, np.ones(10)).parameters.tolist() == [0, 0, 0]


def test_adam_is_torchs():
    value, _ = quadratic(5)
    search = Evolution(0.2, 0.05, 8, adam=True)
    state = search.init(np.ones(4))
    theirs = torch.ones(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([theirs], lr=0.05)
    rng = np.random.default_rng(0)
    for _ in range(20):
        directions, members = search.ask(state, rng)
        theirs.grad = -torch.from_numpy(search.gradient(directions, value(members)))
        optimizer.step()
        state = search.tell(state, directions, value(members))
        assert_allclose(state.parameters, theirs.detach().numpy(), rtol=1e-9)
    assert state.generation == 20


@pytest.mark.parametrize("settings", [{}, {"adam": True}, {"shaping": "ars", "best": 4}, {"shaping": "returns"}])
def test_it_climbs_and_a_step_size_of_zero_stays(settings):
    value, slope = quadratic(2, size=3)
    rng = np.random.default_rng(1)
    search, still = Evolution(0.1, 0.05, 10, **settings), Evolution(0.1, 0.0, 10, **settings)
    state = search.init(np.array([1.0, -1.0, 1.0]))
    first = state.parameters
    for _ in range(150):
        directions, members = search.ask(state, rng)
        assert np.array_equal(still.tell(state, directions, value(members)).parameters, state.parameters)
        state = search.tell(state, directions, value(members))
    assert value(state.parameters) > value(first) + 1
    assert np.linalg.norm(slope(state.parameters)) < 0.35 * np.linalg.norm(slope(first))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sigma": 0.0}, "sigma is above 0"),
        ({"pairs": 0}, "pairs at least 1"),
        ({"step_size": -1.0}, "step_size 0 or more"),
        ({"shaping": "sum"}, "accepted are 'ranks', 'returns' and 'ars'"),
        ({"best": 2}, "under shaping='ars'"),
        ({"shaping": "ars", "best": 9}, "keeps 1 to 4 directions"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Evolution(**{"sigma": 0.1, "step_size": 0.1, "pairs": 4, **settings})


def test_returns_that_cannot_be_are_refused():
    search = Evolution(0.1, 0.1, 2)
    with pytest.raises(ValueError, match=r"4 members were asked for .* the shape \(3,\)"):
        search.gradient(np.zeros((2, 3)), np.zeros(3))
    with pytest.raises(ValueError, match="NaN"):
        search.gradient(np.zeros((2, 3)), [0, 1, float("nan"), 2])
    with pytest.raises(ValueError, match=r"\(2, 2\) was given; flatten it"):
        search.init(np.zeros((2, 2)))
