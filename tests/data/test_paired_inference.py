"""Paired inference: a walk over the facts by hand ends at the match, and places, orders and distances are as told."""

import pytest
import torch
from scipy import linalg

from neuropil.data import PairedInference
from neuropil.data.paired_inference import hadamard


def draw(items=300, **given):
    return PairedInference(**given).draw(items, torch.Generator().manual_seed(3))


def test_a_walk_from_the_cue_over_facts_ends_at_the_match_and_never_at_the_lure():
    given = draw(chains=4, code=16)
    for k in range(300):
        at, left, seen = given.cue[k], list(given.facts[k].unbind()), []
        for _ in range(3):
            (here,) = [i for i, fact in enumerate(left) if any(torch.equal(at, one) for one in fact)]
            fact = left.pop(here)
            at = fact[1] if torch.equal(fact[0], at) else fact[0]
            seen.append(at)
        match, lure = given.options[k, given.target[k]], given.options[k, 1 - given.target[k]]
        assert torch.equal(seen[given.distance[k] - 1], match)
        assert not any(torch.equal(one, lure) for one in seen)


def test_the_path_is_the_facts_of_that_walk_in_order():
    given = draw(chains=2, code=8)
    hops = given.facts[torch.arange(300).unsqueeze(1), given.path]
    assert ((hops[:, 0] == given.cue.view(300, 1, -1)).all(-1).sum(1) == 1).all()
    for k in (0, 1):
        shared = (hops[:, k].unsqueeze(2) == hops[:, k + 1].unsqueeze(1)).all(-1).flatten(1).sum(1)
        assert (shared == 1).all()


def test_a_match_and_its_lure_lie_in_as_many_facts():
    given = draw(chains=3, length=4, code=16)
    inside = (given.facts.unsqueeze(1) == given.options.view(300, 2, 1, 1, 16)).all(-1).sum((2, 3))
    assert torch.equal(inside[:, 0], inside[:, 1])
    assert (inside[given.distance == 3] == 1).all()
    assert (inside[given.distance < 3] == 2).all()


def test_codes_are_orthogonal_and_everything_is_even():
    given = draw(6000)
    assert given.facts.shape == (6000, 12, 2, 16)
    overlaps = given.facts.flatten(1, 2) @ given.facts.flatten(1, 2).mT
    assert ((overlaps == 0) | (overlaps == 16)).all()
    assert given.facts[:, 0, 0].mean(0).abs().max() < 0.05
    assert given.target.double().mean() == pytest.approx(0.5, abs=0.03)
    for distance in (1, 2, 3):
        assert (given.distance == distance).double().mean() == pytest.approx(1 / 3, abs=0.03)
    first = (given.facts[torch.arange(6000), given.path[:, 0], 0] == given.cue).all(1)
    assert first.double().mean() == pytest.approx(0.5, abs=0.03)


def test_noise_is_added_anew_wherever_a_code_is_shown():
    plain, noisy = draw(2000), draw(2000, noise=0.5)
    parts = [(getattr(noisy, name) - getattr(plain, name)).flatten() for name in ("facts", "cue", "options")]
    for part in parts:
        assert float(part.std()) == pytest.approx(0.5, abs=0.01)
    shared = (plain.facts[torch.arange(2000), plain.path[:, 0]] == plain.cue.unsqueeze(1)).all(2)
    again = (noisy.facts - plain.facts)[torch.arange(2000), plain.path[:, 0]][shared]
    assert float(torch.corrcoef(torch.stack((again.flatten(), parts[1])))[0, 1]) == pytest.approx(0, abs=0.03)
    assert torch.equal(plain.path, noisy.path)


def test_the_matrix_is_scipys():
    assert torch.equal(hadamard(16), torch.from_numpy(linalg.hadamard(16)).float())


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"chains": 1}, "at least 2"),
        ({"length": 1}, "at least 2"),
        ({"code": 24}, "power of 2"),
        ({"chains": 5}, "for example 32"),
        ({"noise": -1.0}, "noise"),
    ],
)
def test_what_makes_no_question_is_refused(given, word):
    with pytest.raises(ValueError, match=word):
        PairedInference(**given)
    with pytest.raises(TypeError, match="whole"):
        PairedInference(code=2.5)
