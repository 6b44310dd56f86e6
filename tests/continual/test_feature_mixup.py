import pytest
import torch
from scipy.stats import beta, kstest
from torch.nn.functional import cross_entropy

from neuropil.continual import feature_mixup

DRAWS = torch.Generator().manual_seed(0)
A = (torch.randn(5, 3, 2, 2, generator=DRAWS), torch.tensor([0, 1, 2, 3, 0]))
B = (torch.randn(5, 3, 2, 2, generator=DRAWS), torch.tensor([0, 2, 2, 1, 3]))


def test_inputs_and_labels_are_blended_by_one_share():
    x, y = feature_mixup(A, B, 4, alpha=1.0, generator=torch.Generator().manual_seed(1))
    share = float(y[1, 1])
    assert 0 < share < 1
    torch.testing.assert_close(x, share * A[0] + (1 - share) * B[0])
    for row, own, other in zip(y, A[1], B[1], strict=True):
        expected = torch.zeros(4)
        expected[own] += share
        expected[other] += 1 - share
        torch.testing.assert_close(row, expected)


def test_cross_entropy_with_blended_labels_is_the_blend_of_both():
    """The form in which the authors' code has it."""
    _, y = feature_mixup(A, B, 4, alpha=1.0, generator=torch.Generator().manual_seed(1))
    share, scores = y[1, 1], torch.randn(5, 4, generator=DRAWS)
    torch.testing.assert_close(cross_entropy(scores, y), share * cross_entropy(scores, A[1]) + (1 - share) * cross_entropy(scores, B[1]))


@pytest.mark.parametrize("alpha", [0.1, 1.0, 4.0])
def test_shares_follow_scipys_beta(alpha):
    draws = torch.Generator().manual_seed(0)
    zero = torch.zeros(1, 1, dtype=torch.float64)  # in f32 a share in ten of alpha 0.1 would be rounded to 1
    one = (zero, torch.tensor([0])), (zero, torch.tensor([1]))
    shares = [float(feature_mixup(*one, 2, alpha=alpha, generator=draws)[1][0, 0]) for _ in range(1500)]
    assert kstest(shares, beta(alpha, alpha).cdf).pvalue > 0.01
    assert kstest(shares, beta(2 * alpha, alpha).cdf).pvalue < 1e-6


def test_alpha_0_leaves_the_first_batch():
    draws = torch.Generator().manual_seed(0)
    before = draws.get_state()
    x, y = feature_mixup(A, B, 4, alpha=0.0, generator=draws)
    assert torch.equal(x, A[0])
    assert y.argmax(1).tolist() == A[1].tolist()
    assert torch.equal(draws.get_state(), before)


def test_what_does_not_fit_is_refused():
    for call, said in (
        (lambda: feature_mixup(A, (B[0][:4], B[1][:4]), 4, alpha=1.0), "of one shape"),
        (lambda: feature_mixup(A, (B[0], B[1].float()), 4, alpha=1.0), "labels i64"),
        (lambda: feature_mixup(A, B, 4, alpha=-1.0), "-1.0 was given"),
        (lambda: feature_mixup(A, B, 4, alpha=float("nan")), "nan was given"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
