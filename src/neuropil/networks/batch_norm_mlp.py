"""A multilayer perceptron with batch normalisation, whose hidden layers may be of any kind."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from neuropil.synapses.synapse import check_size


class BatchNormMLP(nn.Module):
    """Layers with batch normalisation before the nonlinearity: ``h_k = f(norm(layer_k(h_(k-1))))``, the last layer linear and bare.

    ``sizes`` are the widths from input to output, x [B, sizes[0]] -> y [B, sizes[-1]]. ``layer(n, m)`` makes a hidden layer from n to m features (``None``: linear,
    weights normal with variance 2 / n, he2015); ``norm(m)`` makes what comes after it (``nn.Identity``: nothing), ``activation()`` the nonlinearity after that. The last layer begins with variance 1 / n and bias 0. Parts are
    named ``layers.layer1``, ``layers.norm1``, ``layers.activation1``, ..., ``layers.readout``. Source: ioffe2015.
    Raises ``ValueError`` for fewer than two sizes, sizes below 1, and inputs of another width.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        layer: Callable[[int, int], nn.Module] | None = None,
        activation: Callable[[], nn.Module] = nn.ReLU,
        norm: Callable[[int], nn.Module] = nn.BatchNorm1d,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        if len(self.sizes) < 2:
            raise ValueError(f"A BatchNormMLP needs at least two sizes, {list(self.sizes)} was given; write for example [784, 100, 10].")
        for size in self.sizes:
            check_size(size, "width of a layer", "BatchNormMLP")
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for k, (n, m) in enumerate(zip(self.sizes[:-2], self.sizes[1:-1], strict=True), 1):
            parts[f"layer{k}"] = layer(n, m) if layer is not None else _linear(n, m, 2.0, generator)
            parts[f"norm{k}"] = norm(m)
            parts[f"activation{k}"] = activation()
        parts["readout"] = _linear(self.sizes[-2], self.sizes[-1], 1.0, generator)
        self.layers = nn.Sequential(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B, sizes[0]] to [B, sizes[-1]]."""
        if x.ndim != 2 or x.shape[-1] != self.sizes[0]:
            raise ValueError(f"This BatchNormMLP takes inputs [B, {self.sizes[0]}], {list(x.shape)} was given; flatten or reshape them.")
        y: Tensor = self.layers(x)
        return y


def _linear(n: int, m: int, gain: float, generator: torch.Generator | None) -> nn.Linear:
    linear = nn.Linear(n, m, device="meta").to_empty(device="cpu")
    nn.init.normal_(linear.weight, std=(gain / n) ** 0.5, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear
