"""The format's nodes without time that torch has no module for."""

from torch import Tensor, nn

from neuropil.dynamics import FastSigmoid, Surrogate, parameter
from neuropil.dynamics.parameter import Value


class Scale(nn.Module):
    """One factor a feature: ``y = scale x``.

    ``x``, ``y`` [..., N]; ``scale`` [N], a parameter. Raises ``ValueError`` for a ``scale`` of another shape. Source: pedersen2024.
    """

    def __init__(self, size: int, scale: Value) -> None:
        super().__init__()
        self.size = self.out_size = size
        self.scale = parameter(scale, size=size, learnable=True, per_neuron=True, name="scale")

    def forward(self, x: Tensor) -> Tensor:
        """The input, scaled."""
        return self.scale * x


class Threshold(nn.Module):
    """A spike wherever the input reaches a threshold: ``y = 1 if x >= threshold``, backwards the slope of the surrogate.

    ``x``, ``y`` [..., N]; ``threshold`` [N]. Raises ``ValueError`` for a ``threshold`` of another shape. Source: pedersen2024, where it is ``x > threshold``.
    """

    def __init__(self, size: int, threshold: Value, surrogate: Surrogate | None = None) -> None:
        super().__init__()
        self.size = self.out_size = size
        self.threshold = parameter(threshold, size=size, per_neuron=True, name="threshold")
        self.surrogate = Surrogate.of(surrogate, FastSigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of the input."""
        spikes: Tensor = self.surrogate(x - self.threshold)
        return spikes
