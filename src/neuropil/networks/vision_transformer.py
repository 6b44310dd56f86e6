"""A small vision transformer, which can be cut between two blocks so that what lies below is frozen and its tokens are kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from neuropil.networks.transformer import Attention, Block, Transformer


class VisionTransformer(nn.Module):
    """Patches as tokens of an encoder, its answers averaged over them: pictures [B, side, side] or [B, side, side, channels] -> [B, outputs].

    ``net`` is the ``Transformer``: embedding of flattened patches plus learned positions, pre-norm blocks, last norm, read-out at every token; the answer is the mean over tokens.
    ``cut(n)`` gives it in two modules on the same parameters, ``TokenEncoder`` up to block n and ``TokenClassifier`` from there on. Source: dosovitskiy2021.
    Initial law: weights normal with variance 1 / fan-in, divided by ``2 layers`` where they write into the residual stream, positions normal with variance 1, all drawn from ``generator``; with the ``Transformer``'s own
    law, made for thousands of steps, such small nets learn next to nothing in a few hundred. Differs from the paper in that, and in that the mean over tokens is read out in place of a class token's vector. Raises ``ValueError`` for a side that is no multiple of the patch, a cut beyond the blocks, and what ``Transformer`` raises.
    """

    def __init__(
        self,
        side: int,
        outputs: int,
        *,
        patch: int,
        channels: int = 1,
        width: int = 32,
        heads: int = 4,
        layers: int = 3,
        expansion: int = 4,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if patch < 1 or side < 1 or side % patch:
            raise ValueError(
                f"The side is a multiple of the patch's, {side} and {patch} were given; choose for example {4 * max(patch, 1)}."
            )
        self.patch, self.tokens = patch, (side // patch) ** 2
        self.net = Transformer(
            outputs,
            inputs=channels * patch**2,
            width=width,
            heads=heads,
            layers=layers,
            context=self.tokens,
            expansion=expansion,
            causal=False,
            generator=generator,
        )
        for name, parameter in self.net.named_parameters():
            if name == "positions":
                nn.init.normal_(parameter, generator=generator)
            elif parameter.ndim == 2:
                into_stream = name.endswith(("attn.out.weight", "down.weight"))
                nn.init.normal_(parameter, std=(parameter.shape[1] * (2 * layers if into_stream else 1)) ** -0.5, generator=generator)

    def cut(self, blocks: int) -> tuple[TokenEncoder, TokenClassifier]:
        """Give the part that ends with block ``blocks`` (0: with the embedding), and the rest."""
        if not 0 <= blocks <= len(self.net.blocks):
            raise ValueError(f"This VisionTransformer is cut after 0 to {len(self.net.blocks)} blocks, {blocks} was given.")
        return TokenEncoder(self, blocks), TokenClassifier(self, blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures to answers."""
        lower, upper = self.cut(0)
        y: Tensor = upper(lower(x))
        return y


class TokenEncoder(nn.Module):
    """The lower part of a ``VisionTransformer``: pictures [B, side, side(, channels)] -> tokens [B, T, width]."""

    def __init__(self, whole: VisionTransformer, blocks: int) -> None:
        super().__init__()
        self.patch, self.embed, self.positions = whole.patch, whole.net.embed, whole.net.positions
        self.blocks = nn.ModuleList(list(whole.net.blocks)[:blocks])

    def forward(self, x: Tensor) -> Tensor:
        """Embed patches and pass them through the first blocks."""
        h: Tensor = self.embed(patches(x, self.patch)) + self.positions
        for block in self.blocks:
            h = _through(block, h)
        return h


class TokenClassifier(nn.Module):
    """The upper part of a ``VisionTransformer``: tokens [B, T, width] -> answers [B, outputs], the mean over tokens of ``readout(norm(h))``.

    ``noise`` [B, blocks, heads, T, T] is added to the attention weights of each block, after the softmax and without normalising them again, as released with jeeveswaran2023.
    """

    def __init__(self, whole: VisionTransformer, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(list(whole.net.blocks)[blocks:])
        self.norm, self.readout = whole.net.norm, whole.net.readout

    def forward(self, h: Tensor, noise: Tensor | None = None) -> Tensor:
        """Map tokens to answers."""
        y: Tensor = self.readout(self.features(h, noise))
        return y

    def features(self, h: Tensor, noise: Tensor | None = None) -> Tensor:
        """What the read-out sees: the mean over tokens of the normed last block, [B, width]."""
        for k, block in enumerate(self.blocks):
            h = _through(block, h, None if noise is None else noise[:, k])
        seen: Tensor = self.norm(h).mean(-2)
        return seen


def patches(x: Tensor, patch: int) -> Tensor:
    """Cut pictures [B, side, side(, channels)] into flattened patches [B, T, patch^2 channels], row by row."""
    if x.ndim not in (3, 4) or x.shape[1] != x.shape[2] or x.shape[1] % patch:
        raise ValueError(f"Pictures are [B, side, side(, channels)] with sides that are multiples of {patch}, {list(x.shape)} was given.")
    count, pieces = len(x), x.shape[1] // patch
    cells = x.reshape(count, pieces, patch, pieces, patch, -1)
    return cells.transpose(2, 3).reshape(count, pieces * pieces, -1)


def _through(block: nn.Module, x: Tensor, noise: Tensor | None = None) -> Tensor:
    """A block with its attention written out, ``A = softmax(Q K^T / sqrt(width / heads)) + noise``, which replicas can map; noise [B, heads, T, T]."""
    assert isinstance(block, Block)
    assert isinstance(block.attn, Attention)
    batch, length, width = x.shape
    heads = block.attn.heads
    q, k, v = block.attn.qkv(block.norm1(x)).reshape(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    weights = (q @ k.mT / (width // heads) ** 0.5).softmax(-1)
    if noise is not None:
        weights = weights + noise
    x = x + block.attn.out((weights @ v).transpose(1, 2).reshape(batch, length, width))
    y: Tensor = x + block.down(gelu(block.up(block.norm2(x))))
    return y
