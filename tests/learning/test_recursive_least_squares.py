import pytest
import torch

from neuropil.learning import RecursiveLeastSquares

FORGETTING = (1.0, 0.95)


def samples(steps=60, size=6, outputs=2, seed=0):
    drawn = torch.Generator().manual_seed(seed)
    x = torch.randn(steps, size, generator=drawn, dtype=torch.float64)
    return x, torch.randn(steps, outputs, generator=drawn, dtype=torch.float64)


@pytest.mark.parametrize("forgetting", FORGETTING)
def test_weights_are_those_of_weighted_ridge_regression_in_closed_form(forgetting):
    x, target = samples()
    begun = torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
    readout = RecursiveLeastSquares(6, 2, forgetting=forgetting, uncertainty=50.0, weight=begun).double()
    _, s = readout(x, target=target)
    kept = forgetting ** torch.arange(len(x) - 1, -1, -1, dtype=torch.float64)
    prior = forgetting ** len(x) / 50.0 * torch.eye(6, dtype=torch.float64)
    drawn = 6 * (1 - forgetting) / 50.0 * torch.diag(kept.reshape(-1, 6).sum(0))
    gram = x.mT @ (kept[:, None] * x) + prior + drawn
    expected = torch.linalg.solve(gram, x.mT @ (kept[:, None] * target) + prior @ begun.double().mT).mT
    torch.testing.assert_close(s.w, expected)
    torch.testing.assert_close(s.P, torch.linalg.inv(gram))


def test_it_predicts_before_it_learns_and_without_a_target_only_predicts():
    x, target = samples(3)
    readout = RecursiveLeastSquares(6, 2, uncertainty=1e6).double()
    y, s = readout.step(x[0], target=target[0])
    assert (y == 0).all()
    again, unchanged = readout.step(x[0], s)
    torch.testing.assert_close(again, target[0], rtol=1e-4, atol=1e-4)
    assert unchanged is s


def test_forgetting_follows_a_change_that_full_memory_does_not():
    x, _ = samples(400, seed=2)
    true = torch.ones(1, 6, dtype=torch.float64)
    target = torch.cat([x[:300] @ true.mT, -x[300:] @ true.mT])
    readouts = [RecursiveLeastSquares(6, 1, forgetting=f, uncertainty=100.0).double() for f in (0.9, 1.0)]
    ends = [readout(x, target=target)[1] for readout in readouts]
    torch.testing.assert_close(ends[0].w, -true, rtol=0, atol=1e-2)
    assert (ends[1].w > 0).all()
    assert all((s.P.mT == s.P).all() for s in ends)


def test_what_is_not_seen_for_long_stays_bounded():
    x = torch.zeros(5000, 4)
    x[:, 0] = 1
    with torch.no_grad():
        _, s = RecursiveLeastSquares(4, 1, forgetting=0.9, uncertainty=2.0)(x, target=torch.ones(5000, 1))
    assert s.P[1:, 1:].diagonal().min() > 1.5
    assert s.P[1:, 1:].diagonal().max() < 3
    assert float(s.w[0, 0]) == pytest.approx(1, abs=0.1)


def test_separate_streams_learn_separately():
    x, target = samples(20, seed=3)
    readout = RecursiveLeastSquares(6, 2, forgetting=0.9).double()
    _, both = readout(torch.stack([x, -2 * x], 1), target=torch.stack([target, target], 1))
    torch.testing.assert_close(both.w[0], readout(x, target=target)[1].w)
    torch.testing.assert_close(both.w[1], readout(-2 * x, target=target)[1].w)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"forgetting": 0.0}, "forgetting is a share"), ({"forgetting": 1.1}, "forgetting"), ({"uncertainty": -1.0}, "0 or more")],
)
def test_what_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        RecursiveLeastSquares(4, 2, **wrong)
