"""Ranks with intervals: cases by hand, other implementations, and planted means whose true ranks the intervals hold as often as they say."""

import itertools

import numpy as np
import pytest
from scipy import stats

from neuropil.atlas import AtlasError
from neuropil.atlas.statistics.ranks import rank


def drawn(generator, means, spreads, n, common=1.0):
    """Scores [K, n] around planted means; seeds share an easy or a hard draw."""
    noise = generator.standard_normal((len(means), n)) * np.array(spreads)[:, None]
    return np.array(means)[:, None] + noise + common * generator.standard_normal(n)


def named(scores):
    return {f"e{k}": row.tolist() for k, row in enumerate(scores)}


def true_ranks(means):
    return [1 + sum(other > mean for other in means) for mean in means]


def covered(means, found):
    """Whether all intervals at once hold a true rank; equal entries may hold any rank between theirs, as mogstad2024 count ties."""
    return all(
        found[f"e{k}"].between[0] <= best and worst <= found[f"e{k}"].between[1]
        for k, (best, worst) in enumerate(zip(true_ranks(means), [sum(o >= m for o in means) for m in means], strict=True))
    )


@pytest.mark.parametrize(
    ("means", "spreads"),
    [
        ([0.0] * 6, [1.0] * 6),
        ([0.0, 0.0, 0.0, 3.0, 3.0, 6.0], [1.0] * 6),
        ([0.0, 0.5, 1.0, 1.5, 2.0, 2.5], [0.3, 1.0, 2.0, 0.3, 1.0, 2.0]),
    ],
)
def test_planted_ranks_are_covered_as_often_as_said(means, spreads):
    generator = np.random.default_rng(7)
    held = sum(covered(means, rank(named(drawn(generator, means, spreads, 10)))) for _ in range(1500))
    assert held / 1500 >= 0.95 - 3 * (0.05 * 0.95 / 1500) ** 0.5


def test_intervals_are_no_wider_than_the_truth_needs():
    """Means far apart are told apart, entry for entry; neighbours among them are not."""
    generator = np.random.default_rng(3)
    scores = named(drawn(generator, [0.0, 10.0, 10.0, 20.0], [1.0] * 4, 10))
    found = rank(scores)
    assert [found[f"e{k}"].between for k in range(4)] == [(4, 4), (2, 3), (2, 3), (1, 1)]


def test_tests_are_scipys_and_the_adjustment_is_holms():
    generator = np.random.default_rng(5)
    scores = drawn(generator, [0.0, 1.4, 2.2, 2.4], [1.0] * 4, 12)
    pairs = list(itertools.permutations(range(4), 2))
    p = np.array([stats.ttest_rel(scores[k], scores[j], alternative="greater").pvalue for k, j in pairs])
    found = rank(named(scores))
    order = np.argsort(p)
    threshold = [p[i] < 0.05 / (len(p) - place) for place, i in enumerate(order)]
    rejected = {pairs[i] for place, i in enumerate(order) if all(threshold[: place + 1])}
    for k in range(4):
        better, worse = sum(j == k for _, j in rejected), sum(i == k for i, _ in rejected)
        assert found[f"e{k}"].between == (1 + better, 4 - worse)
    assert rejected


def test_lower_is_better_turns_everything_round():
    scores = drawn(np.random.default_rng(1), [0.0, 2.0, 4.0], [0.5] * 3, 10)
    up, down = rank(named(scores)), rank(named(-scores), better="lower")
    assert list(up) == list(down)
    for name in up:
        assert (up[name].rank, up[name].between, up[name].p) == (down[name].rank, down[name].between, down[name].p)
        assert up[name].behind == pytest.approx(down[name].behind)


def test_overlapping_splits_widen():
    scores = named(drawn(np.random.default_rng(2), [0.0, 1.0, 2.0], [1.0] * 3, 10))
    alone, shared = rank(scores), rank(scores, overlap=0.5)
    for name in scores:
        width = np.ptp(shared[name].interval) / np.ptp(alone[name].interval)
        assert width == pytest.approx((0.6 / 0.1) ** 0.5)
        assert shared[name].between[0] <= alone[name].between[0]
        assert shared[name].between[1] >= alone[name].between[1]


def test_ties_one_seed_and_one_entry():
    same = rank({"a": [0.5, 0.6, 0.7], "b": [0.5, 0.6, 0.7], "c": [0.1, 0.2, 0.3]})
    assert (same["a"].rank, same["b"].rank, same["c"].rank) == (1, 1, 3)
    assert (same["a"].between, same["b"].between, same["c"].between) == ((1, 2), (1, 2), (3, 3))
    one = rank({"a": [0.5], "b": [0.7]})
    assert one["b"].rank == 1
    assert one["a"].between == one["b"].between == (1, 2)
    assert one["a"].interval is None
    assert rank({"a": [0.5, 0.6]})["a"].between == (1, 1)


@pytest.mark.parametrize("values", [{}, {"a": []}, {"a": [1.0], "b": [1.0, 2.0]}, {"a": [1.0, 2.0], "b": [1.0, float("nan")]}])
def test_what_cannot_be_ranked_is_refused(values):
    with pytest.raises(AtlasError):
        rank(values)
