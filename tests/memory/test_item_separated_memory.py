"""ItemSeparatedMemory against torch's own multi-head attention, and at strengths where it can be read off."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from neuropil.memory import ItemSeparatedMemory


def memory(**given):
    return ItemSeparatedMemory(5, width=4, heads=3, generator=torch.Generator().manual_seed(1), **given).double()


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("summed", [False, True])
def test_it_is_torchs_attention_over_items_side_by_side_or_summed(summed):
    part, facts, q = memory(summed=summed), normal(7, 6, 2, 5), normal(7, 12)
    shown = facts.sum(2) if summed else facts.flatten(2)
    size = shown.shape[2]
    theirs = nn.MultiheadAttention(12, 3, bias=False, kdim=size, vdim=size, batch_first=True).double()
    with torch.no_grad():
        theirs.q_proj_weight.copy_(torch.eye(12))
        theirs.k_proj_weight.copy_(part.key)
        theirs.v_proj_weight.copy_(part.value)
        theirs.out_proj.weight.copy_(torch.eye(12))
    expected, weights = theirs(q.unsqueeze(1), shown, shown, average_attn_weights=False)
    read, w = part(q, facts)
    assert_close(read, expected.squeeze(1))
    assert_close(w, weights.squeeze(2))


def test_a_fact_that_holds_the_cue_is_found_before_anything_is_learned():
    part = ItemSeparatedMemory(24, width=48, heads=2, generator=torch.Generator().manual_seed(0))
    facts = torch.randn(200, 10, 2, 24, generator=torch.Generator().manual_seed(4))
    for place in (0, 1):
        _, w = part(part.first(facts[:, 3, place]), facts)
        assert (w.argmax(2) == 3).float().mean() > 0.8


def test_places_have_their_own_numbers_unless_summed():
    facts, q = normal(2, 4, 2, 5), normal(2, 12)
    for summed in (False, True):
        part = memory(summed=summed)
        with torch.no_grad():
            part.key += 0.3 * torch.randn(part.key.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
        same = torch.allclose(part(q, facts)[0], part(q, facts.flip(2))[0])
        assert same == summed


def test_bad_input():
    with pytest.raises(ValueError, match="heads"):
        ItemSeparatedMemory(5, heads=0)
    with pytest.raises(ValueError, match="queries"):
        memory()(normal(2, 11), normal(2, 4, 2, 5))
    with pytest.raises(ValueError, match="facts"):
        memory()(normal(2, 12), normal(2, 4, 3, 5))
