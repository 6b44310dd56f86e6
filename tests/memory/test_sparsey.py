import math

import pytest
import torch
from torch.testing import assert_close

from neuropil.data import sparse_patterns
from neuropil.memory.sparsey import SparseyField, drawn_winners, winners


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_new_inputs_get_codes_that_share_one_in_k_winners():
    """Empty synapses: U = G = 0, eta = 1 and every cell is as likely; two codes share a winner of a module with probability 1 / K."""
    field, g = SparseyField(50, 400, 8), draws()
    u = field.support(field.initial(), sparse_patterns(1, 50, 5, g)[0])
    assert u.max() == 0
    p = field.chances(u, field.familiarity(u))
    assert_close(p, torch.full_like(p, 1 / 8))
    codes = torch.stack([drawn_winners(p, g) for _ in range(20)])
    shared = torch.einsum("aqk,bqk->ab", codes, codes)
    off = shared[~torch.eye(20, dtype=torch.bool)] / 400
    assert off.mean() == pytest.approx(1 / 8, abs=5 * math.sqrt(1 / 8 * 7 / 8 / (400 * 190)))


def test_a_stored_input_reinstates_its_code_as_often_as_the_closed_form_says():
    """One stored item: U = 1 at its winners and 0 elsewhere, G = 1, so p = psi(1) / (psi(1) + (K - 1) psi(0))."""
    k, gain, slope, centre = 10, 3.0, 15.0, 0.4
    field, g = SparseyField(60, 2000, k, gain=gain, slope=slope, centre=centre), draws(1)
    x = sparse_patterns(1, 60, 6, g)[0]
    code = drawn_winners(torch.full((2000, k), 1 / k), g)
    s = field.store(field.initial(), x, code)
    u = field.support(s, x)
    assert field.familiarity(u) == 1
    psi = [1 + k * gain * sigmoid(slope * (u0 - centre)) for u0 in (0, 1)]
    law = psi[1] / (psi[1] + (k - 1) * psi[0])
    again = drawn_winners(field.chances(u, field.familiarity(u)), g)
    assert float((again * code).sum() / 2000) == pytest.approx(law, abs=4 * math.sqrt(law * (1 - law) / 2000))
    assert torch.equal(field.retrieve(s, x), code)


def test_support_of_a_half_known_input_and_the_gain_it_gets():
    field = SparseyField(4, 1, 2, gain=5.0, least=0.2, power=2.0, slope=10.0, centre=0.5)
    s = field.store(field.initial(), torch.tensor([1.0, 1, 0, 0]), torch.tensor([[0.0, 1]]))
    u = field.support(s, torch.tensor([1.0, 0, 1, 0]))
    assert u.tolist() == [[0.0, 0.5]]
    eta = 1 + 2 * 5 * ((0.5 - 0.2) / 0.8) ** 2
    psi = torch.tensor([1 + (eta - 1) * sigmoid(-5), 1 + (eta - 1) * 0.5])
    assert_close(field.chances(u, field.familiarity(u))[0], psi / psi.sum())


def test_synapses_fill_as_those_of_willshaws_matrix():
    """Random inputs and random codes leave a share 1 - (1 - a / (N K))^M of synapses on (willshaw1969)."""
    field, g = SparseyField(80, 30, 5), draws(2)
    s = field.initial()
    for x in sparse_patterns(60, 80, 8, g):
        s = field.store(s, x, drawn_winners(torch.full((30, 5), 0.2), g))
    assert s.w.mean() == pytest.approx(1 - (1 - 8 / (80 * 5)) ** 60, rel=0.04)


def test_leading_axes_are_fields_of_their_own_and_draws_follow_probabilities():
    field, g = SparseyField(20, 3, 4), draws(3)
    x = sparse_patterns(2, 20, 4, g)
    codes = drawn_winners(torch.rand(2, 3, 4, generator=g), g)
    both = field.store(field.initial(2), x, codes)
    for k in range(2):
        alone = field.store(field.initial(), x[k], codes[k])
        assert torch.equal(both.w[k], alone.w)
        assert torch.equal(field.support(both, x)[k], field.support(alone, x[k]))
    p = torch.tensor([0.7, 0.0, 0.3]).expand(20_000, 3)
    assert_close(drawn_winners(p, g).mean(0), p[0], atol=0.02, rtol=0)
    assert winners(torch.tensor([[0.2, 0.5, 0.5]])).tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: SparseyField(0, 2, 3), "inputs"),
        (lambda: SparseyField(4, 2, 3, least=1.0), "least"),
        (lambda: SparseyField(4, 2, 3).support(SparseyField(4, 2, 3).initial(), torch.ones(5)), "is \\[..., 4\\]"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
