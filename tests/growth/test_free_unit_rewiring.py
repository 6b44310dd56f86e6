import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from neuropil.growth import SparseMask, rewire_free_units

FREE_IN = torch.tensor([True, False, True, False, False, True])
FREE_OUT = torch.tensor([False, True, False, True, True])


def layer(density=0.4, seed=0):
    model = nn.Linear(6, 5)
    nn.init.normal_(model.weight, generator=torch.Generator().manual_seed(seed))
    mask = SparseMask(model)
    mask.draw({"weight": density}, torch.Generator().manual_seed(seed + 1))
    mask.apply()
    return model, mask


def test_what_goes_and_what_comes_is_as_said():
    """A mask compared with one worked out entry by entry."""
    for seed in range(30):
        model, mask = layer(seed=seed)
        before, weights = mask["weight"].clone(), model.weight.detach().clone()
        dropped, grown = rewire_free_units(mask, "weight", FREE_IN, FREE_OUT, generator=torch.Generator().manual_seed(seed))
        after = mask["weight"]
        expected = [(i, j) for i in range(5) for j in range(6) if before[i, j] and not FREE_OUT[i] and FREE_IN[j]]
        assert [tuple(at) for at in (before & ~after).nonzero().tolist()] == expected
        assert dropped == len(expected)
        assert grown == min(dropped, int((~before[FREE_OUT]).sum())) == int((after & ~before).sum())
        assert not bool((after & ~before)[~FREE_OUT].any())
        assert mask.active == int(before.sum()) - dropped + grown
        assert torch.equal(model.weight, torch.where(before & after, weights, 0.0))


def test_used_units_then_do_not_depend_on_free_ones():
    model, mask = layer()
    rewire_free_units(mask, "weight", FREE_IN, FREE_OUT, generator=torch.Generator().manual_seed(0))
    x = torch.randn(10, 6, generator=torch.Generator().manual_seed(1))
    other = torch.where(FREE_IN, torch.randn(10, 6, generator=torch.Generator().manual_seed(2)), x)
    assert torch.equal(model(x)[:, ~FREE_OUT], model(other)[:, ~FREE_OUT])


def test_share_zero_changes_nothing_and_half_is_half():
    model, mask = layer()
    before, weights = mask["weight"].clone(), model.weight.detach().clone()
    assert rewire_free_units(mask, "weight", FREE_IN, FREE_OUT, share=0.0) == (0, 0)
    assert torch.equal(mask["weight"], before)
    assert torch.equal(model.weight, weights)
    _, other = layer()
    whole, _ = rewire_free_units(other, "weight", FREE_IN, FREE_OUT)
    half, _ = rewire_free_units(mask, "weight", FREE_IN, FREE_OUT, share=0.5)
    assert half == round(whole / 2) > 0


def test_places_are_even_over_free_units_and_all_inputs():
    found = np.zeros((5, 6))
    for seed in range(2000):
        _, mask = layer()
        before = mask["weight"].clone()
        rewire_free_units(mask, "weight", FREE_IN, FREE_OUT, generator=torch.Generator().manual_seed(seed))
        found += (mask["weight"] & ~before).numpy()
    places = found[(~before & FREE_OUT[:, None]).numpy()]
    assert found.sum() == places.sum()
    assert chisquare(places).pvalue > 0.01


def test_where_places_are_lacking_fewer_grow():
    model = nn.Linear(6, 5)
    mask = SparseMask(model)
    dropped, grown = rewire_free_units(mask, "weight", FREE_IN, FREE_OUT)
    assert (dropped, grown, mask.active) == (6, 0, 24)


def test_what_it_cannot_take_is_refused():
    _, mask = layer()
    for change, said in (
        ({"name": "bias"}, "No weight 'bias'"),
        ({"free_in": FREE_OUT}, r"bool \[inputs\] and \[outputs\]"),
        ({"free_out": FREE_OUT.float()}, "torch.float32"),
        ({"share": 2.0}, "2.0 was given"),
    ):
        with pytest.raises(ValueError, match=said):
            rewire_free_units(mask, **{"name": "weight", "free_in": FREE_IN, "free_out": FREE_OUT, **change})
