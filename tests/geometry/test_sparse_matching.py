import pytest
from scipy.stats import hypergeom

from neuropil.geometry import false_match, missed_match, union_size

SIMULATED = {
    (300, 64): (1.09318e-3, 0.00109461662333690),
    (500, 128): (0.00737836, 0.00736788303358289),
    (700, 128): (0.00032014, 0.000320106080889471),
    (500, 256): (0.629267, 0.629372754740777),
    (700, 256): (0.121048, 0.121087724790945),
    (1300, 256): (7.4956e-4, 0.000748965962032781),
    (2900, 256): (7.0e-8, 1.80169987461924e-7),
}
"""The authors' Monte-Carlo frequencies over 1e8 pairs and their law's values (figure "effect of n", numenta/htmresearch), at s = 24, theta = 12."""


@pytest.mark.parametrize(("n", "active"), SIMULATED)
def test_the_authors_simulated_and_computed_rates(n, active):
    simulated, computed = SIMULATED[n, active]
    found = false_match(n, active, 24, 12)
    assert found == pytest.approx(computed, rel=1e-10)
    if found > 1e-4:
        assert found == pytest.approx(simulated, rel=5e-3)


def test_published_table_of_single_segments_down_to_1e_minus_17():
    assert false_match(100_000, 2000, 10, 10) == pytest.approx(1.00163216178113e-17, rel=1e-12)
    assert false_match(100_000, 2000, 20, 10) == pytest.approx(1.54192767258720e-12, rel=1e-12)
    assert false_match(100_000, 2000, 40, 10) == pytest.approx(4.91541864813209e-9, rel=1e-12)


@pytest.mark.parametrize(("n", "active", "s", "theta"), [(50, 10, 12, 3), (500, 20, 20, 2), (40, 40, 7, 7), (30, 5, 10, 6), (30, 5, 4, 0)])
def test_tails_of_scipy(n, active, s, theta):
    assert false_match(n, active, s, theta) == pytest.approx(hypergeom(n, s, active).sf(theta - 1), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("active", "s", "theta", "moved"), [(20, 20, 16, 4), (20, 20, 17, 4), (20, 8, 6, 5), (128, 30, 12, 80)])
def test_a_segment_misses_its_own_pattern_as_scipy_counts(active, s, theta, moved):
    assert missed_match(active, s, theta, moved) == pytest.approx(hypergeom(active, s, active - moved).cdf(theta - 1), rel=1e-9, abs=1e-14)


def test_ends():
    assert missed_match(20, 20, 16, 4) == 0
    assert missed_match(20, 20, 17, 4) == 1
    assert false_match(30, 5, 10, 6) == 0
    assert union_size(1000, 20, 1) == pytest.approx(20)
    assert union_size(1000, 20, 0) == 0
    assert union_size(100, 50, 2) == pytest.approx(75)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: false_match(10, 11, 3, 2), "active is at most the 10 cells"),
        (lambda: false_match(10, 5, 11, 2), "synapses is at most the 10 cells"),
        (lambda: missed_match(10, 5, 3, 11), "moved is at most the 10 active cells"),
        (lambda: union_size(10, 5, -1), "patterns is at least 0"),
    ],
)
def test_impossible_counts_are_refused(call, error):
    with pytest.raises(ValueError, match=error):
        call()
