"""Fusion of senses: an encoder and a head for each, and one layer that reads all of them together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FusionNet(nn.Module):
    """Late fusion by concatenation: ``f_m = encoder_m(x_m)``, ``alone_m = H_m f_m + b_m``, ``together = W [f_1, ..., f_M] + b``.

    ``net(x_1, ..., x_M)`` -> ``(alone_1, ..., alone_M, together)``, class scores [..., classes] each. ``encoders`` map the senses to features [..., n_m], their
    ``widths`` are the n_m. Parts are named ``encoders.0``, ``heads.0``, ..., ``fusion``. Heads and fusion begin normal with variance 1 / fan_in, biases 0,
    drawn from ``generator``. Raises ``ValueError`` for encoders and widths of unequal number, fewer than two, and another number of inputs.
    """

    def __init__(
        self, encoders: Sequence[nn.Module], widths: Sequence[int], classes: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if len(encoders) < 2 or len(encoders) != len(widths) or min(classes, *widths) < 1:
            raise ValueError(
                f"A FusionNet needs two encoders or more and a width for each, {len(encoders)} encoders, {list(widths)} and {classes=} were given."
            )
        self.encoders = nn.ModuleList(encoders)
        self.heads = nn.ModuleList(_linear(width, classes, generator) for width in widths)
        self.fusion = _linear(sum(widths), classes, generator)

    def forward(self, *senses: Tensor) -> tuple[Tensor, ...]:
        """Score the classes by each sense alone and by all together."""
        if len(senses) != len(self.encoders):
            raise ValueError(f"This FusionNet takes {len(self.encoders)} senses, {len(senses)} were given; give one tensor each.")
        features = [encoder(x) for encoder, x in zip(self.encoders, senses, strict=True)]
        alone = [head(feature) for head, feature in zip(self.heads, features, strict=True)]
        return (*alone, self.fusion(torch.cat(features, -1)))


def _linear(n: int, m: int, generator: torch.Generator | None) -> nn.Linear:
    linear = nn.Linear(n, m, device="meta").to_empty(device="cpu")
    nn.init.normal_(linear.weight, std=n**-0.5, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear
