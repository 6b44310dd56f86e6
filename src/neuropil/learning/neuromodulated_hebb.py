"""Neuro-modulated Hebbian learning: a first layer that learns from its input by soft competition, and a modulator that learns from the top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, unfold

from neuropil.learning.fit import Rule
from neuropil.plasticity.soft_hebb import compete, soft_hebb, turn


class NeuromodulatedHebb:
    """Two steps a batch: filters of the first convolution by soft Hebbian competition, then ``modulator``, a rule such as ``EntropyMinimisation`` of the gains after it.

    Hebbian step, for all patches ``x`` of the batch at length 1 and filters ``w_m`` at length 1: ``u = w x``, ``a = softmax(u / temperature)``,
    ``dw_m = rate mean a_m (x - u_m w_m)``; filters then have their own length again. Later layers hear ``u``, the convolution. ``layer`` names a
    convolution that reads the batch itself. At ``rate`` 0 it is its modulator to the bit; with ``modulator=None`` it is Hebbian alone.

    A batch is ``(inputs,)`` or ``(inputs, seen)``, whose Hebbian step sees other pictures. The state is the modulator's. Source: neuromodulated-hebbian-tta2023,
    by our reading of its abstract and its figure 2, with the rule of journe2023; patches and filters at length 1 are our choice.
    Raises ``ValueError`` for a layer that is no ungrouped convolution, and a negative rate or temperature.
    """

    def __init__(self, layer: str, modulator: Rule | None, *, rate: float, temperature: float) -> None:
        if not rate >= 0:
            raise ValueError(f"The rate of Hebbian learning is 0 or more, {rate!r} was given.")
        compete(torch.zeros(1), temperature)
        self.layer, self.modulator, self.rate, self.temperature = layer, modulator, rate, temperature

    def init(self, model: nn.Module) -> Any:
        """Make the modulator's first state."""
        self._convolution(model)
        return None if self.modulator is None else self.modulator.init(model)

    def step(self, model: nn.Module, batch: Sequence[Tensor], state: Any) -> tuple[Any, dict[str, float | Tensor]]:
        """Change the filters by the batch, then what the modulator changes."""
        if self.rate:
            self._hebb(self._convolution(model), batch[-1])
        if self.modulator is None:
            return None, {}
        state, metrics = self.modulator.step(model, tuple(batch[:1]), state)
        return state, dict(metrics)

    @torch.no_grad()
    def _hebb(self, conv: nn.Conv2d, pictures: Tensor) -> None:
        filters = conv.weight.flatten(1)
        change = soft_hebb(normalize(filters, dim=1), patches(conv, pictures), temperature=self.temperature)
        conv.weight.copy_(turn(filters, change, self.rate).view_as(conv.weight))

    def _convolution(self, model: nn.Module) -> nn.Conv2d:
        conv = model.get_submodule(self.layer)
        if not isinstance(conv, nn.Conv2d) or conv.groups != 1:
            raise ValueError(
                f"{self.layer!r} is a {type(conv).__name__}; neuro-modulated Hebbian learning takes an nn.Conv2d without groups."
            )
        return conv


def patches(conv: nn.Conv2d, pictures: Tensor) -> Tensor:
    """Every patch of ``pictures`` [B, C, H, W] under the filters of ``conv``, scaled to length 1: [P, N]. Blank ones are left out."""
    if isinstance(conv.padding, str):
        raise ValueError(f"patches takes convolutions padded by numbers, {conv.padding!r} was given.")
    windows = unfold(pictures, conv.kernel_size, conv.dilation, conv.padding, conv.stride)
    flat = windows.transpose(1, 2).flatten(0, 1)
    length = flat.norm(dim=1, keepdim=True)
    kept = length.squeeze(1) > 0
    scaled: Tensor = flat[kept] / length[kept]
    return scaled


@torch.no_grad()
def fit_of_filters(conv: nn.Conv2d, pictures: Tensor, temperature: float) -> float:
    """How well filters stand for patches: the mean cosine between a patch and its filters, each by its share of the win."""
    u = patches(conv, pictures) @ normalize(conv.weight.flatten(1), dim=1).mT
    return float((compete(u, temperature) * u).sum(1).mean())
