"""SlotMemoryTransformer: its layers are the parts' own steps, told one by one, and its arms differ in what they say."""

import pytest
import torch
from torch.nn.functional import gelu, scaled_dot_product_attention
from torch.testing import assert_close

from neuropil.networks import SlotMemoryTransformer


def net(mixing="both", **given):
    return SlotMemoryTransformer(
        5, 3, width=8, heads=2, slots=4, segments=2, mixing=mixing, generator=torch.Generator().manual_seed(1), **given
    )


def tokens(*leading, seed=0):
    return torch.randn(*leading, 6, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("mixing", ["attention", "working", "both"])
def test_the_last_token_answers_as_if_all_were_computed(mixing):
    part, x = net(mixing), tokens(3)
    h = part.embed(x)
    if mixing != "attention":
        working = part.working.initial(3)
    if mixing == "both":
        long = part.long.initial(3)
    for _ in range(2):
        z = part.norm1(h)
        if mixing == "attention":
            heads = scaled_dot_product_attention(part.attention.ask(z), *part.attention.show(z))
            mixed = part.out(heads.transpose(1, 2).flatten(2))
        else:
            content, working = part.working.write(working, z)
            mixed = part.working.read(working, z)
        if mixing == "both":
            long = part.long.write(long, content)
            recalled = part.working.attention(z, part.long.read(long), 5)
            mixed = 0.7 * mixed + 0.3 * part.working.attention(recalled, mixed)
        h = h + mixed
        h = h + part.down(gelu(part.up(part.norm2(h))))
    assert_close(part(x), part.readout(part.norm(h[:, -1])))


@pytest.mark.parametrize("mixing", ["attention", "working", "both"])
def test_the_order_of_the_other_tokens_is_not_told(mixing):
    part, x = net(mixing), tokens(2)
    assert_close(part(x[:, [3, 0, 4, 1, 2, 5]]), part(x), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(part(x[:, [5, 0, 4, 1, 2, 3]]), part(x), atol=1e-3)


def test_sequences_do_not_share_memories():
    part, x = net(), tokens(2)
    assert_close(part(torch.stack((x[0], tokens(seed=7))))[0], part(x)[0])


def test_no_strength_is_the_constant_store_and_an_outer_product_is_not():
    constant, off, outer = net(merge="none"), net(strength=0.0), net()
    x = tokens(4)
    assert_close(off(x), constant(x))
    assert not torch.allclose(outer(x), constant(x), atol=1e-4)
    assert len({sum(parameter.numel() for parameter in part.parameters()) for part in (constant, off, outer)}) == 1


def test_what_is_shown_takes_the_place_of_the_store():
    part, x = net(), tokens(4)
    y, told = part.trace(x)
    own = [one.store.mean(-3) for one in told]
    assert_close(part(x, own), y)
    assert not torch.allclose(part(x, [one.mean(0) for one in own]), y, atol=1e-4)
    assert_close(told[1].before, told[0].store)
    assert told[0].direct.shape == (4, 6, 8)
    assert told[1].corrected.shape == (4, 1, 8)


def test_one_seed_one_net():
    for a, b in zip(net().parameters(), net().parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: SlotMemoryTransformer(5, 3, width=8, heads=3), "multiple of the heads"),
        (lambda: net("none"), "mixing"),
        (lambda: net()(torch.zeros(2, 6, 4)), "takes vectors"),
        (lambda: net("working")(tokens(2), [torch.zeros(4, 8)] * 2), "stores"),
        (lambda: net()(tokens(2), [torch.zeros(4, 8)]), "stores"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
