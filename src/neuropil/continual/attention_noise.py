"""Noise on the attention of replayed tokens: the same memory comes back a little different each time."""

from __future__ import annotations

import torch
from torch import Tensor


def attention_noise(
    items: int, blocks: int, heads: int, tokens: int, *, deviation: float, share: float = 0.5, generator: torch.Generator | None = None
) -> Tensor:
    """Draw what is added to attention weights, f32 [``items``, ``blocks``, ``heads``, ``tokens``, ``tokens``]: ``A <- A + b deviation eps``, ``eps ~ N(0, 1)``, ``b ~ Bernoulli(share)``.

    b is drawn for each item and block. ``deviation`` 0 gives zeros. Attention weights are numbers from 0 to 1, so that a ``deviation`` of 1, the authors' value, is far beyond them.
    Source: jeeveswaran2023, whose released code adds it after the softmax, on half of the items. Raises ``ValueError`` for sizes below 1, a negative deviation and a share outside 0 to 1.
    """
    if min(items, blocks, heads, tokens) < 1:
        raise ValueError(
            f"attention_noise takes numbers of items, blocks, heads and tokens from 1 up, {(items, blocks, heads, tokens)} were given."
        )
    if not deviation >= 0 or not 0 <= share <= 1:
        raise ValueError(f"attention_noise takes a deviation from 0 up and a share from 0 to 1, {deviation} and {share} were given.")
    chosen = torch.rand(items, blocks, generator=generator) < share
    noise = torch.randn(items, blocks, heads, tokens, tokens, generator=generator)
    return noise * (deviation * chosen[:, :, None, None, None])
