"""The verdict: a table of cases, outside references, and planted effects that recover the nominal error and power rates."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from neuropil.atlas import AtlasError, Contrast, Metric
from neuropil.atlas.statistics.estimates import Estimate, estimate, gap_closed
from neuropil.atlas.statistics.exact import walsh
from neuropil.atlas.statistics.multiplicity import benjamini_hochberg, holm
from neuropil.atlas.statistics.power import power, seeds_needed, success_power
from neuropil.atlas.statistics.verdict import conjunction, judge

ACCURACY = Metric("share", ceiling=1.0)
SUCCESS = Metric("share", kind="success")
STEPS = Metric("steps", kind="steps", better="lower", cap=1e9)


def contrast(delta: float = 0.02, relation: str = "greater") -> Contrast:
    return Contrast("a", "b", "x", delta, why="a test", relation=relation)  # type: ignore[arg-type]


def made_up(low: float, effect: float, high: float, low90: float, high90: float) -> Estimate:
    return Estimate("mean", "paired t", 10, effect, (low, high), (low90, high90), 0.5, 1.0, (effect,) * 10)


@pytest.mark.parametrize(
    ("low", "effect", "high", "low90", "high90", "word"),
    [
        (0.01, 0.03, 0.05, 0.012, 0.048, "supported"),
        (0.01, 0.02, 0.03, 0.012, 0.028, "supported"),  # d equal to delta counts
        (0.01, 0.019, 0.03, 0.011, 0.027, "undecided"),  # clearly above zero, smaller than what matters, not shown negligible
        (0.0, 0.03, 0.06, 0.005, 0.055, "undecided"),  # L must exceed zero
        (0.001, 0.008, 0.015, 0.002, 0.014, "negligible"),  # significant and too small to matter
        (-0.01, 0.0, 0.01, -0.008, 0.008, "negligible"),
        (-0.021, 0.0, 0.021, -0.02, 0.02, "undecided"),  # the margin itself is outside
        (-0.05, -0.03, -0.01, -0.048, -0.012, "reversed"),
        (-0.06, -0.03, 0.0, -0.055, -0.005, "undecided"),
        (-0.5, 0.1, 0.7, -0.4, 0.6, "undecided"),
    ],
)
def test_every_word_of_the_table(low, effect, high, low90, high90, word):
    assert judge(made_up(low, effect, high, low90, high90), contrast()) == word


def test_a_claim_of_no_difference_reads_the_same_table():
    equal = contrast(relation="equal")
    assert judge(made_up(-0.01, 0.0, 0.01, -0.008, 0.008), equal) == "supported"
    assert judge(made_up(0.01, 0.03, 0.05, 0.012, 0.048), equal) == "reversed"
    assert judge(made_up(-0.5, 0.1, 0.7, -0.4, 0.6), equal) == "undecided"


def test_several_primaries_must_all_pass():
    assert conjunction(["supported", "supported"]) == "supported"
    assert conjunction(["supported", "undecided"]) == "undecided"
    assert conjunction(["undecided", "negligible"]) == "negligible"
    assert conjunction(["reversed", "negligible", "supported"]) == "reversed"


def test_paired_t_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.1, 1, 12), rng.normal(0, 1, 12)
    found, peer = estimate(a, b, ACCURACY), stats.ttest_rel(a, b)
    assert found.p == pytest.approx(peer.pvalue)
    assert found.interval == pytest.approx(peer.confidence_interval(0.95))
    assert found.interval90 == pytest.approx(peer.confidence_interval(0.90))


def test_signed_ranks_are_scipys_and_the_interval_inverts_the_test():
    rng = np.random.default_rng(1)
    a, b = np.exp(rng.normal(0, 1, 11)), np.exp(rng.normal(0.5, 1, 11))
    a[3] = np.inf
    found = estimate(a, b, STEPS)
    signed = np.log(b) - np.log(np.where(np.isinf(a), 1e9, a))  # the cap of STEPS
    assert found.p == pytest.approx(stats.wilcoxon(signed, method="exact").pvalue)
    values = list(rng.normal(0.3, 1, 10))
    low, high, middle = walsh(values, 0.05)
    assert low < middle < high
    for edge, sign in ((low, 1), (high, -1)):
        inside = stats.wilcoxon(np.array(values) - (edge + sign * 1e-9), method="exact").pvalue
        outside = stats.wilcoxon(np.array(values) - (edge - sign * 1e-9), method="exact").pvalue
        assert outside <= 0.05 < inside


def test_mcnemar_is_the_binomial_and_tangos_limits_solve_the_score_equation():
    first = [1.0] * 9 + [0.0] * 1 + [1.0] * 4
    second = [0.0] * 9 + [1.0] * 1 + [1.0] * 4
    found = estimate(first, second, SUCCESS)
    assert found.p == pytest.approx(stats.binomtest(9, 10).pvalue)
    assert found.effect == pytest.approx(8 / 14)
    # the limits solve the score equation, here with the restricted likelihood maximised by brute force
    for limit, z in ((found.interval[0], 1.959964), (found.interval[1], -1.959964)):
        assert _score(9, 1, 14, limit) == pytest.approx(z, abs=1e-4)


def _score(wins: int, losses: int, n: int, difference: float) -> float:
    """The score statistic by brute force: the restricted likelihood maximised on a fine grid, not by Tango's formula."""
    p_loss = np.linspace(max(0.0, -difference) + 1e-9, (1 - difference) / 2 - 1e-9, 2_000_001)
    p_win = p_loss + difference
    loglik = wins * np.log(p_win) + losses * np.log(p_loss) + (n - wins - losses) * np.log1p(-p_win - p_loss)
    best = p_loss[np.argmax(loglik)]
    return (wins - losses - n * difference) / math.sqrt(n * (2 * best + difference * (1 - difference)))


def test_swapping_the_arms_negates_estimate_and_interval_exactly():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.7, 0.1, 13), rng.normal(0.6, 0.1, 13)
    censored = np.where(rng.random(13) < 0.3, np.inf, np.exp(a))
    cases = [
        (a, b, ACCURACY, None),
        (a, b, ACCURACY, (800, 200)),
        (np.exp(a), np.exp(b), STEPS, None),
        (censored, np.exp(b), STEPS, None),
        ((a > 0.7).astype(float), (b > 0.7).astype(float), SUCCESS, None),
    ]
    for first, second, metric, resplit in cases:
        there, back = estimate(first, second, metric, resplit), estimate(second, first, metric, resplit)
        assert back.effect == -there.effect
        assert back.interval == (-there.interval[1], -there.interval[0])
        assert back.interval90 == (-there.interval90[1], -there.interval90[0])
        assert back.p == there.p


@pytest.mark.parametrize("n", [10, 20, 30])
def test_planted_effects_recover_error_and_power(n):
    """4,000 planted sweeps each: false support at most 2.5 %, coverage 95 %, the stated power, all within 4 Monte-Carlo errors."""
    rng, repeats, spread, delta = np.random.default_rng(n), 4000, 0.03, 0.02
    tolerance = 4 * math.sqrt(0.25 / repeats)

    def sweep(effect: float) -> list[Estimate]:
        return [estimate(row, np.zeros(n), ACCURACY) for row in rng.normal(effect, spread, (repeats, n))]

    null, at_delta, large = sweep(0.0), sweep(delta), sweep(3 * delta)
    words = [judge(e, contrast(delta)) for e in null]
    assert words.count("supported") / repeats <= 0.025 + 4 * math.sqrt(0.025 / repeats)
    assert words.count("reversed") / repeats <= 0.025 + 4 * math.sqrt(0.025 / repeats)
    for planted, truth in ((null, 0.0), (at_delta, delta)):
        assert np.mean([e.interval[0] <= truth <= e.interval[1] for e in planted]) == pytest.approx(
            0.95, abs=4 * math.sqrt(0.0475 / repeats)
        )
    assert np.mean([e.interval[0] > 0 for e in at_delta]) == pytest.approx(power(spread, delta, n), abs=tolerance)
    # a benefit of delta is never shown to be negligible in more than 5 %
    assert np.mean([judge(e, contrast(delta)) == "negligible" for e in at_delta]) <= 0.05 + 4 * math.sqrt(0.05 / repeats)
    assert np.mean([judge(e, contrast(delta)) == "supported" for e in large]) >= power(spread, 2 * delta, n) - tolerance


@pytest.mark.parametrize("n", [10, 20, 30])
def test_prediction_intervals_hold_fresh_estimates(n):
    rng, repeats = np.random.default_rng(50 + n), 3000
    inside = 0
    for _ in range(repeats):
        interval = estimate(rng.normal(0.1, 0.3, n), np.zeros(n), ACCURACY).prediction(10)
        inside += interval[0] <= rng.normal(0.1, 0.3, 10).mean() <= interval[1]
    assert inside / repeats == pytest.approx(0.95, abs=4 * math.sqrt(0.0475 / repeats))


@pytest.mark.parametrize("n", [10, 20, 30])
def test_overlapping_splits_need_the_correction_and_with_it_keep_their_errors(n):
    """One pool of 200 items a world, a fresh 4:1 split a seed, a fitted constant judged on the test part; truth: no benefit on average.

    The naive paired interval calls far too many; the corrected one stays at or below its nominal 5 % two-sided error.
    """
    rng, repeats, pool, test = np.random.default_rng(100 + n), 600, 200, 40
    wrong = {"naive": 0, "corrected": 0}
    for _ in range(repeats):
        items = rng.normal(0, 1, pool)  # per-item benefit of a over b, mean zero in the world the pool is drawn from
        drawn = [items[rng.permutation(pool)[:test]].mean() for _ in range(n)]
        for name, resplit in (("naive", None), ("corrected", (pool - test, test))):
            low, high = estimate(drawn, np.zeros(n), ACCURACY, resplit).interval
            wrong[name] += not low <= 0 <= high
    assert wrong["naive"] / repeats > 0.12
    assert wrong["corrected"] / repeats <= 0.05 + 4 * math.sqrt(0.0475 / repeats)


@pytest.mark.parametrize("n", [10, 20, 30])
def test_success_rates_recover_error_and_power(n):
    rng, repeats, delta = np.random.default_rng(200 + n), 3000, 0.5
    tolerance = 4 * math.sqrt(0.25 / repeats)

    def words(win: float, lose: float) -> list[str]:
        draws = rng.random((repeats, n))
        first, second = (draws < win).astype(float), ((draws >= win) & (draws < win + lose)).astype(float)
        return [judge(estimate(a, b, SUCCESS), contrast(delta)) for a, b in zip(first, second, strict=True)]

    assert words(0.25, 0.25).count("supported") / repeats <= 0.025 + 4 * math.sqrt(0.025 / repeats)
    found = words(0.6, 0.1)
    reach = success_power(0.7, 0.5, n)
    assert found.count("supported") / repeats <= reach + tolerance  # d >= delta is asked for on top of significance
    significant = np.mean([estimate(a, b, SUCCESS).p < 0.05 for a, b in _pairs(rng, 0.6, 0.1, n, repeats)])
    assert significant == pytest.approx(reach, abs=tolerance)


def _pairs(rng, win, lose, n, repeats):
    for draws in rng.random((repeats, n)):
        yield (draws < win).astype(float), ((draws >= win) & (draws < win + lose)).astype(float)


def test_no_disagreement_among_ten_is_not_yet_negligible():
    found = estimate([1.0] * 10, [1.0] * 10, SUCCESS)
    assert found.interval[1] > 0.2
    assert judge(found, contrast(0.1)) == "undecided"


@pytest.mark.parametrize("n", [10, 20, 30])
@pytest.mark.parametrize("limit", [math.inf, 3.0])
def test_step_counts_recover_error_and_power_with_and_without_censoring(n, limit):
    """Log-normal step counts; with limit 3 some runs never get there (inf). False support stays at 2.5 %; a threefold saving is found."""
    rng, repeats = np.random.default_rng(300 + n), 1200
    fold = contrast(1.25)

    def words(shift: float) -> list[str]:
        found = []
        for _ in range(repeats):
            common = rng.normal(0, 0.5, n)
            a = np.exp(common + rng.normal(-shift, 0.3, n))
            b = np.exp(common + rng.normal(0, 0.3, n))
            a, b = np.where(a > limit, np.inf, a), np.where(b > limit, np.inf, b)
            found.append(judge(estimate(a, b, Metric("steps", kind="steps", better="lower", cap=min(limit, 1e9))), fold))
        return found

    null = words(0.0)
    assert null.count("supported") / repeats <= 0.025 + 4 * math.sqrt(0.025 / repeats)
    assert null.count("reversed") / repeats <= 0.025 + 4 * math.sqrt(0.025 / repeats)
    assert words(math.log(3)).count("supported") / repeats > 0.95


@pytest.mark.parametrize("n", [10, 20, 30])
def test_zero_variance(n):
    same = estimate([0.5] * n, [0.5] * n, ACCURACY)
    assert judge(same, contrast()) == "negligible"
    assert "All seeds gave one and the same" in same.note
    better = estimate([0.55] * n, [0.5] * n, ACCURACY)
    assert judge(better, contrast()) == "supported"
    assert judge(estimate([0.5] * n, [0.55] * n, ACCURACY), contrast()) == "reversed"
    assert seeds_needed(better, contrast()) == (10, 1.0)


def test_exact_metrics_make_exact_claims():
    metric = Metric("bits", kind="exact")
    found = estimate([3.0, 3.0], [1.0, 1.0], metric)
    assert found.p is None
    assert found.interval == (2.0, 2.0)
    assert judge(found, contrast(2.0)) == "supported"
    assert judge(estimate([1.0], [1.0], metric), contrast(2.0)) == "negligible"
    with pytest.raises(AtlasError, match="declare it kind mean"):
        estimate([3.0, 4.0], [1.0, 1.0], metric)


def test_n_is_the_smallest_with_ninety_percent_power():
    rng = np.random.default_rng(3)
    found = estimate(rng.normal(0, 0.015, 10), np.zeros(10), ACCURACY)
    n, reached = seeds_needed(found, contrast(0.02))
    assert reached >= 0.9
    assert n == 10 or power(found.spread, 0.02, n - 1) < 0.9
    assert seeds_needed(estimate(rng.normal(0, 1, 10), np.zeros(10), ACCURACY), contrast(0.02))[0] == 30


def test_power_matches_a_textbook_value():
    """Cohen's d = 0.5, n = 34, two-sided 5 %: 0.807 (Cohen 1988, also G*Power's worked example for the paired t test)."""
    assert power(1.0, 0.5, 34) == pytest.approx(0.8078, abs=0.001)


def test_adjusted_p_values_match_peers():
    p = [0.01, 0.04, 0.03, 0.005, 0.9]
    assert holm(p) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.9])  # worked by hand, Holm's step-down
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))
    assert holm([]) == []


def test_gap_closed_is_a_share_of_the_way_to_the_best():
    assert gap_closed(0.1, 0.8, ACCURACY) == pytest.approx(0.5)
    assert gap_closed(0.2, 0.3, Metric("share", better="lower", floor=1.0, ceiling=0.0)) == pytest.approx(2 / 3)
    assert gap_closed(0.1, 0.8, Metric("units")) is None


CAPPED = Metric("steps", kind="steps", better="lower", cap=100)


@pytest.mark.parametrize(
    ("a", "b", "word"),
    [
        ([50.0] * 10, [math.inf] * 10, "supported"),  # always, against never: at least twofold
        ([math.inf] * 10, [50.0] * 10, "reversed"),
        ([math.inf] * 10, [math.inf] * 10, "undecided"),  # nobody arrives: nothing was seen, not "no difference"
        ([100.0] * 10, [math.inf] * 10, "undecided"),  # as slow as the cap: the ratio is unknown
        ([90.0 + i for i in range(10)], [math.inf] * 10, "undecided"),
        ([100.0] * 10, [100.0] * 10, "undecided"),  # at the cap is not there yet
    ],
)
def test_runs_that_never_got_there_are_never_negligible(a, b, word):
    assert judge(estimate(a, b, CAPPED), contrast(1.25)) == word


def test_a_cap_must_be_declared_and_kept():
    with pytest.raises(AtlasError, match="does not say where runs were stopped"):
        estimate([1.0, math.inf], [1.0, 1.0], Metric("steps", kind="steps"))
    with pytest.raises(AtlasError, match="beyond the cap"):
        estimate([200.0, 1.0], [1.0, 1.0], CAPPED)
    assert Metric("steps", kind="steps", cap="most").at({"most": 40}).cap == 40


@pytest.mark.parametrize("n", [10, 20, 30])
def test_overlapping_splits_have_the_stated_power_and_zero_variance_is_said(n):
    """Under the correlation that Nadeau and Bengio assume the corrected t is exact: coverage and power are the nominal ones, both ways."""
    rng, repeats, train, test, delta = np.random.default_rng(400 + n), 4000, 800, 200, 0.03
    share, spread = test / (train + test), 0.02
    common = rng.normal(0, spread * math.sqrt(share), (repeats, 1))
    drawn = delta + common + rng.normal(0, spread * math.sqrt(1 - share), (repeats, n))
    found = [estimate(row, np.zeros(n), ACCURACY, (train, test)) for row in drawn]
    covered = np.mean([e.interval[0] <= delta <= e.interval[1] for e in found])
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.0475 / repeats))
    reached = power(spread * math.sqrt(1 - share), delta, n, test / train)
    assert np.mean([e.interval[0] > 0 for e in found]) == pytest.approx(reached, abs=4 * math.sqrt(0.25 / repeats))
    same = estimate([0.5] * n, [0.4] * n, ACCURACY, (train, test))
    assert same.interval == pytest.approx((0.1, 0.1))
    assert "All seeds gave one and the same" in same.note


def test_mistakes_are_said_in_one_sentence():
    for a, b, metric, words in (
        ([1.0, 2.0], [1.0], ACCURACY, "pairs seeds"),
        ([math.nan], [1.0], ACCURACY, "NaN"),
        ([math.inf], [1.0], ACCURACY, "infinite"),
        ([0.5], [1.0], SUCCESS, "0 or 1"),
        ([0.0], [1.0], STEPS, "positive"),
    ):
        with pytest.raises(AtlasError, match=words):
            estimate(a, b, metric)


def test_no_planted_verdict_is_an_accident_of_order():
    """Seeds are exchangeable: any order of pairs gives the same estimate to rounding."""
    a, b = [0.3, 0.5, 0.9, 0.2], [0.1, 0.4, 0.95, 0.3]
    effects = {
        round(estimate([a[i] for i in order], [b[i] for i in order], ACCURACY).effect, 12) for order in itertools.permutations(range(4))
    }
    assert len(effects) == 1
