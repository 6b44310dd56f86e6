"""The multilayer perceptron: the plain baseline for vectors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected layers: ``h_0 = x``, ``h_k = f(h_(k-1) W_k^T + b_k)``, the last layer without ``f``.

    ``sizes`` are the widths from input to output, x [..., sizes[0]] -> y [..., sizes[-1]]. ``activation`` makes one module a hidden layer
    (``nn.ReLU``, ``nn.Tanh``, ``lambda: nn.LeakyReLU(0.1)``). Parts are named ``layers.linear1``, ``layers.activation1``, ...

    Initial law: weights normal with variance 2 / fan_in in hidden layers (he2015) and 1 / fan_in in the last (lecun1998b), biases 0, drawn
    from ``generator`` (None: torch's own). Raises ``ValueError`` for fewer than two sizes, sizes below 1 and inputs of another width.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Callable[[], nn.Module] = nn.ReLU,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError(f"An MLP needs at least two sizes from 1 up, {list(self.sizes)} was given; write for example [784, 100, 10].")
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        last = len(self.sizes) - 1
        for k, (fan_in, fan_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False), 1):
            linear = nn.Linear(fan_in, fan_out, bias, device="meta").to_empty(device="cpu")
            nn.init.normal_(linear.weight, std=((2 if k < last else 1) / fan_in) ** 0.5, generator=generator)
            if bias:
                nn.init.zeros_(linear.bias)
            parts[f"linear{k}"] = linear
            if k < last:
                parts[f"activation{k}"] = activation()
        self.layers = nn.Sequential(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., sizes[0]] to [..., sizes[-1]]."""
        if x.ndim == 0 or x.shape[-1] != self.sizes[0]:
            raise ValueError(f"This MLP takes inputs [..., {self.sizes[0]}], {list(x.shape)} was given; flatten or reshape them.")
        y: Tensor = self.layers(x)
        return y
