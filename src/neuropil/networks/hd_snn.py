"""A layer of spiking neurons with heterogeneous delays that recognises motion (HD-SNN): logistic regression on events, the same at every place and time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuropil.synapses import DelayedConv


class HDSNN(nn.Module):
    """One neuron a class at every place; a kernel of weights over delays and places, shared, is all that it learns.

    Equation: ``B_k(t, p) = b_k + max((W_k * A)(t, p), (W_k * A')(t, p))``, ``A`` the events, ``A'`` the same with ON and OFF exchanged, ``*`` the sum over
    polarities, delays and places of ``DelayedConv``. The maximum makes a neuron, as a complex cell, blind to contrast; without it, or another nonlinearity, the
    mean of ``B`` over places would hold the number of events and nothing of how they move. The probability of a class is the softmax over ``k`` of ``B``.

    ``events`` [T, ..., 2, H, W], OFF before ON -> evidence [T, ..., K, H', W'], ``H' = H - window + 1``, without the first ``delays - 1`` moments, whose past is not
    known. ``delays``: how many, from 0 steps on; ``window``: pixels. Weights begin normal with standard deviation 0.01, those of the middle at delay 0 at 4 (ON)
    and -4 (OFF), the same in all classes, which settles early whether ``A`` or ``A'`` is looked at.

    ``cone`` (pixels a step; None: no limit; the authors' is 1.125) keeps weights to a cone of space and delay, the wider the longer the delay, as nothing moves faster than so much:
    ``clamp_()``, to be called after each step of the optimiser, brings ``|W|`` to at most ``limit max |W|``, ``limit(d, r) = c(r) exp(-(r / (cone d + R / 20))^2 / 2)``,
    ``c(r) = ((1 + cos(pi r / R)) / 2)^(1/4)`` for ``r < R = (window + 1) / 2`` pixels from the middle, else 0. Source: grimaldi2023.
    Raises ``ValueError`` for a cone below 0.
    """

    limit: Tensor | None

    def __init__(
        self, classes: int, *, delays: int, window: int, cone: float | None = None, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if cone is not None and not cone >= 0:
            raise ValueError(f"cone is a speed in pixels a step, 0 or more, {cone!r} was given; None for no limit.")
        self.synapse = DelayedConv(2, classes, window, max_delay=delays - 1, padding=0, generator=generator)
        self.bias = nn.Parameter(torch.zeros(classes))
        with torch.no_grad():
            weight = self.synapse.weight
            weight.mul_(0.01 / (1 / weight[0].numel()) ** 0.5)
            weight[:, :, 0, window // 2, window // 2] = torch.tensor([-4.0, 4.0])
        self.limit = None if cone is None else nn.Buffer(_cone(delays, window, cone))
        if self.limit is not None:
            with torch.no_grad():
                weight.copy_(torch.where(weight.abs() < 1, weight * self.limit, weight))

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring weights outside the cone back to its limits."""
        if self.limit is not None:
            largest = self.synapse.weight.abs().max()
            self.synapse.weight.clamp_(-self.limit * largest, self.limit * largest)

    def forward(self, events: Tensor) -> Tensor:
        """Evidence of each class at every place, from the first moment whose past is known."""
        delays = self.synapse.max_delay
        seen, other = (self.synapse(one[delays:], self.synapse.State(one[:delays]))[0] for one in (events, events.flip(-3)))
        return torch.maximum(seen, other) + self.bias[:, None, None]

    def of_patches(self, patches: Tensor) -> Tensor:
        """Evidence at single places: patches [P, 2, delays, window, window], newest first -> [P, K], as ``forward`` would give it there."""
        heard, weight = patches.flatten(1).to(self.bias.dtype), self.synapse.weight
        kernels = torch.cat((weight, weight.flip(1))).flatten(1)
        seen, other = (heard @ kernels.mT).chunk(2, 1)
        return torch.maximum(seen, other) + self.bias


def _cone(delays: int, window: int, cone: float) -> Tensor:
    """How large a weight may be at each delay and place, as a share of the largest [delays, window, window]."""
    radius, pixels = (window + 1) / 2, torch.arange(window) - (window - 1) / 2
    r = torch.hypot(pixels[:, None], pixels)
    circle = torch.where(r < radius, (1 + torch.cos(torch.pi * r / radius)) / 2, 0.0) ** 0.25
    width = cone * torch.arange(delays)[:, None, None] + radius / 20
    return circle * torch.exp(-0.5 * (r / width) ** 2)


def most_evident(evidence: Tensor, share: float = 0.15) -> Tensor:
    """Decide for one class a moment: evidence [..., K, H, W] -> classes i64 [...].

    Equation: the largest mean evidence over the ``share`` of places (one at least) where that of any class is largest: where neurons would spike.
    Raises ``ValueError`` for a share outside (0, 1]. Source: grimaldi2023 (the authors' code, which also pools over time).
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is that of places that are asked, above 0 and at most 1, {share!r} was given.")
    places = evidence.flatten(-2)
    chosen = places.amax(-2).topk(max(1, round(share * places.shape[-1])), -1).indices
    return places.gather(-1, chosen.unsqueeze(-2).expand(*places.shape[:-1], -1)).mean(-1).argmax(-1)
