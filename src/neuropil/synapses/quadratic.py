"""Quadratic connections: the product of two weighted sums, and a weighted sum of squares."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.synapse import check_input, check_size, normal

Start = Literal["linear", "random"]


@SYNAPSES.register(
    cites=("fan2022",),
    tags=("stateless", "nonlinear"),
    example={"size": 4, "out_size": 3, "start": "random"},
    off={"start": "linear"},
    like=lambda off: lambda x: x @ off.weight.mT + off.bias,
)
class Quadratic(nn.Module):
    """Quadratic neurons: what a linear layer gives, times a second weighted sum, plus weighted squares of the inputs.

    Equation: ``y = (weight x + bias) (1 + gate_weight x + gate_bias) + square_weight x^2 + square_bias``, squares elementwise. Three times the parameters
    of a linear layer; one neuron separates what lies inside an ellipse, which takes a hidden layer of linear ones.

    ``x`` [..., N] -> ``y`` [..., M]; weights [M, N], biases [M]. ``weight`` begins as ``Normal(0, gain^2 / N)``. ``start="linear"``: all that is quadratic
    begins at 0 and the layer is linear (what ``learning.ReLinear`` builds on); ``"random"``: gate and square weights begin as ``weight`` does, times ``spread``.
    Raises ``ValueError`` for sizes below 1, another start, a spread below 0, inputs of another feature size or device; ``TypeError`` for inputs of
    another dtype than the weights. Source: fan2022. Differs from the paper in that the gate's bias is counted from 1, so that everything
    quadratic is 0 in a linear neuron and weight decay pulls towards it.
    """

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        start: Start = "linear",
        gain: float = 2**0.5,
        spread: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.size, self.out_size = check_size(size, "size", "Quadratic"), check_size(out_size, "out_size", "Quadratic")
        if start not in get_args(Start):
            raise ValueError(f"start is one of {', '.join(get_args(Start))}, {start!r} was given.")
        if not spread >= 0:
            raise ValueError(f"spread is 0 or more, {spread!r} was given; it scales the quadratic weights of a random start.")
        wide = gain / size**0.5
        self.weight = normal(out_size, size, spread=wide, generator=generator)
        self.bias = nn.Parameter(torch.zeros(out_size))
        others = [normal(out_size, size, spread=wide * spread * (start == "random"), generator=generator) for _ in range(2)]
        self.gate_weight, self.square_weight = others
        self.gate_bias, self.square_bias = nn.Parameter(torch.zeros(out_size)), nn.Parameter(torch.zeros(out_size))

    def quadratic_parameters(self) -> list[nn.Parameter]:
        """The parameters that are 0 in a linear neuron."""
        return [self.gate_weight, self.gate_bias, self.square_weight, self.square_bias]

    def forward(self, x: Tensor) -> Tensor:
        """Postsynaptic current of presynaptic activity: ``x`` [..., N] -> ``y`` [..., M]."""
        check_input(x, self.size, -1, "[..., N]", self.weight, "Quadratic")
        gate = 1 + x @ self.gate_weight.mT + self.gate_bias
        return (x @ self.weight.mT + self.bias) * gate + x.square() @ self.square_weight.mT + self.square_bias

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"size={self.size}, out_size={self.out_size}"
