"""OuterProductMemory: rank one against NumPy, and the released code's rule, which stands still."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.memory import OuterProductMemory


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def store(merge="outer", **given):
    return OuterProductMemory(3, 4, segments=2, merge=merge, generator=torch.Generator().manual_seed(1), **given).double()


def normalised(rows):
    centred = rows - rows.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def change(before, after):
    """How much a write moved the store, as a share of its size."""
    return float((after.store - before.store).norm().detach() / before.store.norm().detach())


def test_an_outer_product_is_what_numpy_gives():
    part, content = store(), drawn(3, 4)
    m, c = normalised(part.start.detach().numpy()), content.numpy()
    u = np.array([1 / (1 + np.exp(-(m[k] * c).sum() / np.sqrt(12))) for k in range(2)])
    expected = normalised(m + np.multiply.outer(u, c))
    s = part.write(part.initial(), content)
    assert_close(s.store.detach().numpy(), expected)
    assert_close(part.read(s).detach().numpy(), expected.mean(0))


def test_what_is_merged_is_of_rank_one_over_segments():
    part, content = store(), drawn(7, 3, 4)
    s = part.initial(7)
    merged = part.shares(s, content) * content.unsqueeze(1)
    assert (torch.linalg.matrix_rank(merged.flatten(-2)) == 1).all()
    assert not torch.allclose(part.shares(s, content)[:, 0], part.shares(s, content)[:, 1])


def test_the_released_rule_is_the_released_einsum():
    part, content = store("summed"), drawn(5, 3, 4)
    m = part.State(drawn(5, 2, 3, 4, seed=2))
    released = torch.einsum("bmnd,bnf->bmnf", m.store, content)
    assert_close(part.write(m, content).store, part.norm(m.store + released))


def test_the_released_rule_stands_still_and_the_outer_product_does_not():
    """Rows that LayerNorm leaves sum to 0: the sum over d is 0, and nothing is written any more."""
    moved = {}
    for merge in ("summed", "outer"):
        part = store(merge)
        raw = part.State(part.start.detach().abs().expand(5, 2, 3, 4))  # as the code begins, with numbers above 0
        first = part.write(raw, drawn(5, 3, 4))
        second = part.write(first, drawn(5, 3, 4, seed=9))
        moved[merge] = [change(a, b) for a, b in ((raw, first), (first, second))]
    assert moved["summed"][0] > 0.5
    assert moved["summed"][1] < 1e-4
    assert min(moved["outer"]) > 0.1


def test_a_gain_that_is_not_even_lets_the_released_rule_write_again():
    part = store("summed")
    with torch.no_grad():
        part.norm.weight[0] = 2.0
    s = part.initial(5)
    assert change(s, part.write(s, drawn(5, 3, 4))) > 0.1


def test_no_strength_is_a_constant():
    content, constant = drawn(6, 3, 4), store("none")
    with torch.no_grad():
        constant.norm.weight += 0.3 * drawn(4, seed=4)
    off = store(strength=0.0)
    off.load_state_dict(constant.state_dict())
    written = [part.write(part.initial(6), content).store for part in (constant, off)]
    assert_close(*written)
    assert torch.equal(written[0][0], written[0][5])


def test_a_store_that_does_not_learn_has_no_gradient():
    assert not store(learnable=False).start.requires_grad
    part = store()
    part.read(part.write(part.initial(2), drawn(2, 3, 4))).square().sum().backward()
    assert part.start.grad is not None


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: OuterProductMemory(3, 4, segments=0), "segments"),
        (lambda: store("product"), "merge"),
        (lambda: store(strength=-1.0), "strength"),
        (lambda: store(strength=float("nan")), "strength"),
        (lambda: store().write(store().initial(2), drawn(3, 4)), "content"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
