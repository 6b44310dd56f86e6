"""TopKAttention against loops in NumPy, and against torch's own attention where all is kept."""

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.testing import assert_close

from neuropil.memory import TopKAttention


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def attention(width=6, heads=2):
    return TopKAttention(width, heads=heads, generator=torch.Generator().manual_seed(3)).double()


def by_loops(part, query, source, top):
    weight = {name: value.detach().numpy() for name, value in part.named_parameters()}
    q = query.numpy() @ weight["query.weight"].T + weight["query.bias"]
    kv = source.numpy() @ weight["source.weight"].T + weight["source.bias"]
    k, v = kv[:, : part.width], kv[:, part.width :]
    n = part.width // part.heads
    y = np.zeros((len(query), part.width))
    for h in range(part.heads):
        own = slice(h * n, (h + 1) * n)
        for m in range(len(query)):
            scores = [float(q[m, own] @ k[t, own]) for t in range(len(source))]
            shares = np.exp(scores) / np.exp(scores).sum()
            for t in np.argsort(-shares)[:top]:
                y[m, own] += shares[t] * v[t, own]
    return y


@pytest.mark.parametrize("top", [1, 3, 5, 9])
def test_it_is_what_loops_give(top):
    part, query, source = attention(), drawn(4, 6), drawn(5, 6, seed=1)
    assert_close(part(query, source, top).detach().numpy(), by_loops(part, query, source, top))


def test_all_kept_is_torchs_attention_without_the_square_root():
    part, query, source = attention(8, 4), drawn(3, 4, 8), drawn(3, 7, 8, seed=1)
    k, v = part.show(source)
    own = scaled_dot_product_attention(part.ask(query), k, v, scale=1.0).transpose(-3, -2).flatten(-2)
    assert_close(part(query, source), own)


def test_few_are_kept_and_they_are_not_scaled_up():
    part, query, source = attention(), drawn(2, 4, 6), drawn(2, 7, 6, seed=1)
    every, few = (part.weights(part.ask(query), part.show(source)[0], top) for top in (None, 2))
    assert_close(every.sum(-1), torch.ones(2, 2, 4, dtype=torch.float64))
    assert ((few > 0).sum(-1) == 2).all()
    assert_close(few[few > 0], every[few > 0])
    assert (few.sum(-1) < 1).all()


def test_large_scores_stay_finite():
    part = attention()
    assert part(1e4 * drawn(2, 6), 1e4 * drawn(3, 6)).isfinite().all()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: TopKAttention(6, heads=4), "multiple of its heads"),
        (lambda: TopKAttention(0), "width"),
        (lambda: attention()(torch.zeros(2, 6).double(), torch.zeros(2, 5).double()), "source of TopKAttention"),
        (lambda: attention()(torch.zeros(2, 6).double(), torch.zeros(2, 6).double(), 0), "top"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
