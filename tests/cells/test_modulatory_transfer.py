"""Transfer functions against the sign table that kay2020 asks of a modulatory context, closed-form slopes, and numbers worked out by hand."""

import math

import pytest
import torch

from neuropil.cells import TwoPoint
from neuropil.cells.modulatory_transfer import TRANSFERS, additive, cooperation, kay_phillips, product, sigmoid_gate, transfer_of

GRID = torch.linspace(-3, 3, 25, dtype=torch.float64)
R, C = torch.meshgrid(GRID, GRID, indexing="ij")


def test_kay_phillips_context_amplifies_what_it_agrees_with_and_does_nothing_alone():
    y = kay_phillips(R, C, limit=math.inf)
    assert (y[R == 0] == 0).all()
    torch.testing.assert_close(y[C == 0], R[C == 0], rtol=1e-15, atol=0)
    assert (y.sign() == R.sign()).all()
    torch.testing.assert_close(y, -kay_phillips(-R, -C, limit=math.inf), rtol=1e-15, atol=0)
    moved = y.abs() - R.abs()
    assert (moved[R * C > 0] > 0).all()
    assert (moved[R * C < 0] < 0).all()
    assert (y.abs() >= R.abs() / 2).all()
    assert float(kay_phillips(torch.tensor(2.0), torch.tensor(0.5))) == pytest.approx(1 + math.e, rel=1e-6)
    assert float(kay_phillips(torch.tensor(2.0), torch.tensor(-0.5))) == pytest.approx(1 + 1 / math.e, rel=1e-6)


def test_kay_phillips_slopes_are_the_closed_forms():
    r, c = R.clone().requires_grad_(), C.clone().requires_grad_()
    by_r, by_c = torch.autograd.grad(kay_phillips(r, c, limit=math.inf).sum(), (r, c))
    torch.testing.assert_close(by_r, (1 + torch.exp(R * C) * (1 + R * C)) / 2)
    torch.testing.assert_close(by_c, R.square() * torch.exp(R * C) / 2)


def test_agreement_beyond_the_limit_amplifies_no_further_and_conflict_is_never_limited():
    r = torch.tensor([10.0, 10.0, -10.0, 10.0], dtype=torch.float64)
    c = torch.tensor([0.6, 5.0, -5.0, -5.0], dtype=torch.float64)
    most = 5 * (1 + math.exp(6))
    torch.testing.assert_close(kay_phillips(r, c), torch.tensor([most, most, -most, 5 * (1 + math.exp(-50))], dtype=torch.float64))


def test_cooperation_lets_context_alone_fire_the_cell():
    torch.testing.assert_close(cooperation(torch.zeros_like(GRID), GRID), GRID.clamp(0, 6))
    by_hand = [
        (-1, 2, 3.0),
        (-1, 0, 0.0),
        (1, 0, 3.0),
        (1, -1, 1.0),
        (1, -2, 0.0),
        (-2, 1, 3.0),
        (2, 0, 6.0),
        (0.5, 1, 2.75),
        (-0.5, 1, 0.75),
    ]
    for r, c, y in by_hand:
        assert float(cooperation(torch.tensor(float(r)), torch.tensor(float(c)))) == pytest.approx(y)
    y = cooperation(R, C)
    assert y.min() == 0
    assert y.max() == 6
    c = C.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cooperation(R, c).sum(), c)
    within = (y > 0) & (y < 6)
    torch.testing.assert_close(slope[within], (1 + R.abs())[within])


def test_the_others_as_their_table_says():
    assert (product(torch.zeros_like(C), C) == 0).all()
    assert (product(R, torch.zeros_like(R)) == R).all()
    assert (product(R, C).sign() == R.sign())[C > -1].all()
    assert (sigmoid_gate(torch.zeros_like(C), C) == 0).all()
    torch.testing.assert_close(sigmoid_gate(R, torch.zeros_like(R)), R / 2)
    assert (sigmoid_gate(R, C).abs() <= R.abs()).all()
    assert (additive(torch.zeros_like(C), C) == C).all()
    assert not (additive(R, C).sign() == R.sign()).all()


def test_names_stand_for_functions_and_an_unknown_one_is_refused():
    assert [transfer_of(name) for name in TRANSFERS] == list(TRANSFERS.values())
    assert transfer_of(torch.maximum) is torch.maximum
    with pytest.raises(ValueError, match="'multiply' was given"):
        transfer_of("multiply")


@pytest.mark.parametrize("name", TRANSFERS)
def test_the_cell_passes_on_what_its_transfer_says(name):
    y, s = TwoPoint(25, transfer=name).double()(R, context=C)
    torch.testing.assert_close(y, TRANSFERS[name](R, C))
    torch.testing.assert_close(s.c, C[-1])


def test_a_context_that_leaks_reaches_the_closed_form_and_acts_later():
    cell = TwoPoint(1, tau=0.02, dt=1e-3).double()
    x, context = torch.ones(60, 1, dtype=torch.float64), torch.full((60, 1), 0.7, dtype=torch.float64)
    y, s = cell(x, context=context)
    reached = 0.7 * (1 - torch.exp(-torch.arange(1, 61, dtype=torch.float64) / 20))
    torch.testing.assert_close(y[:, 0], (1 + reached.exp()) / 2, rtol=1e-6, atol=0)
    later, _ = cell(x[:1], s, context=torch.zeros_like(x[:1]))
    assert later > 1


def test_strength_scales_the_context_and_no_context_is_a_context_of_0():
    torch.testing.assert_close(TwoPoint(25, strength=2.0).double()(R, context=C)[0], kay_phillips(R, 2 * C))
    assert torch.equal(TwoPoint(25).double()(R)[0], R)
    with pytest.raises(ValueError, match="match them"):
        TwoPoint(25).step(torch.zeros(2, 25), context=torch.zeros(25))
