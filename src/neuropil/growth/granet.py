"""Gradual pruning with zero-cost neuroregeneration: after each pruning some weights are swapped for absent ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from neuropil.growth.density import cubic_density
from neuropil.growth.sparse_mask import SparseMask

Regrow = Literal["gradient", "random"]


def prune_global(mask: SparseMask, keep: int) -> int:
    """Keep the ``keep`` existing weights of largest magnitude over all layers together, and return how many were removed.

    Of equal magnitudes the earlier stays (layers in the order of the mask). The weights themselves change with the next ``mask.apply()``.
    Raises ``ValueError`` for ``keep`` below 1. Source: zhu2017.
    """
    if keep < 1:
        raise ValueError(f"Pruning leaves one weight at least, keep={keep} was given; give a larger number.")
    existing = {name: mask[name].flatten().nonzero().squeeze(1) for name in mask}
    strength = torch.cat([mask.weight(name).detach().flatten()[at].abs() for name, at in existing.items()])
    if keep >= len(strength):
        return 0
    kept = torch.zeros(len(strength), dtype=torch.bool, device=strength.device)
    kept[strength.sort(descending=True, stable=True).indices[:keep]] = True
    for (name, at), stays in zip(existing.items(), kept.split([len(at) for at in existing.values()]), strict=True):
        left = torch.zeros_like(mask[name]).flatten()
        left[at[stays]] = True
        mask[name] = left.view(mask[name].shape)
    return len(strength) - keep


def drop_weakest(mask: SparseMask, name: str, share: float) -> int:
    """Remove ``ceil(share n)`` of one layer's n existing weights, those of smallest magnitude, and return how many.

    Raises ``ValueError`` for a share outside 0 .. 1. Source: mocanu2018, evci2020.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"The share dropped is from 0 to 1, {share!r} was given.")
    at = mask[name].flatten().nonzero().squeeze(1)
    count = math.ceil(share * len(at))
    weakest = mask.weight(name).detach().flatten()[at].abs().sort(stable=True).indices[:count]
    left = mask[name].flatten().clone()
    left[at[weakest]] = False
    mask[name] = left.view(mask[name].shape)
    return count


def grow(mask: SparseMask, name: str, count: int, how: Regrow, generator: torch.Generator | None = None) -> Tensor:
    """Let ``count`` absent weights of one layer exist and return where (bool): of largest ``|dL/dw|`` in ``.grad``, or at random.

    Raises ``ValueError`` where ``count`` absent weights or the gradient are lacking, and for another ``how``. Source: evci2020 (gradient), mocanu2018 (random).
    """
    weight = mask.weight(name)
    absent = (~mask[name]).flatten().nonzero().squeeze(1)
    if not 0 <= count <= len(absent):
        raise ValueError(f"{name!r} has {len(absent)} absent weights and {count} were to grow; give a number from 0 to that.")
    if how == "gradient":
        if weight.grad is None:
            raise ValueError(f"{name!r} has no gradient to grow by; call this after backward() and before zero_grad(), or grow at random.")
        chosen = absent[weight.grad.flatten()[absent].abs().topk(count).indices]
    elif how == "random":
        chosen = absent[torch.randperm(len(absent), generator=generator)[:count].to(absent.device)]
    else:
        raise ValueError(f"Weights grow by 'gradient' or at 'random', {how!r} was given; choose one of these.")
    grown = torch.zeros_like(mask[name]).flatten()
    grown[chosen] = True
    grown = grown.view(mask[name].shape)
    mask[name] = mask[name] | grown
    return grown


class Update(NamedTuple):
    """What one update did: the step, the density it left, how many weights gradual pruning removed, how many new ones were grown."""

    step: int
    density: float
    pruned: int
    regrown: int


class GraNet:
    """Gradual magnitude pruning, each pruning followed by regeneration: the weakest weights make room for promising absent ones.

    Every ``every`` steps t, from ``start`` and before ``steps``: (1) until ``end``, keep the ``round(d(t) N)`` largest ``|w|`` over all layers
    together, d the cubic curve from ``initial_density`` (default: the mask's) to ``final_density``; (2) in each layer drop the share ``r(t)``
    of smallest ``|w|`` and grow as many absent weights of largest ``|dL/dw|`` (the batch just seen) or at random. New weights start at 0
    with cleared momentum. ``r(t) = r_T + (r_0 - r_T) (1 + cos(pi t / steps)) / 2``, from ``share`` to ``final_share``.
    ``regrow=None`` or ``share=0`` is gradual magnitude pruning; ``initial_density`` = ``final_density`` below 1 is rewiring at constant density
    (RigL by gradient, SET at random).

    For any model and any torch optimiser, after the step and while its gradients are there::

        rule = GraNet(SparseMask(model), steps=2000, every=50, end=1350, final_density=0.05)
        loss.backward(); optimizer.step(); rule.step(optimizer); optimizer.zero_grad()

    ``births[name]`` (int64, the weight's shape) is the step at which a weight was last regrown, -1 for never; ``regrown(name)`` those that exist
    now. Raises ``ValueError`` for settings out of range, and for a missing gradient.
    Source: liu2021a. As in the authors' code, a weight dropped and grown again in one update keeps its value (nothing was swapped), and
    regeneration goes on after pruning has ended. Differs from it in that the final density is reached exactly, ties are broken by position,
    all that any optimiser remembers is cleared, and the very last step changes nothing (a weight grown then could not learn).
    """

    def __init__(
        self,
        mask: SparseMask,
        *,
        steps: int,
        every: int,
        end: int,
        final_density: float,
        start: int = 0,
        initial_density: float | None = None,
        regrow: Regrow | None = "gradient",
        share: float = 0.5,
        final_share: float = 0.005,
        generator: torch.Generator | None = None,
    ) -> None:
        if not (steps >= 1 and every >= 1 and 0 <= start <= end <= steps):
            raise ValueError(
                f"GraNet needs every >= 1 and 0 <= start <= end <= steps, every={every}, start={start}, end={end}, steps={steps} were given."
            )
        if share == 0:
            final_share = 0.0
        if not 0 <= final_share <= share <= 1:
            raise ValueError(f"Shares need 0 <= final_share <= share <= 1, share={share!r} and final_share={final_share!r} were given.")
        if regrow not in ("gradient", "random", None):
            raise ValueError(f"regrow is 'gradient', 'random' or None, {regrow!r} was given; None prunes only.")
        self.mask = mask
        self.steps, self.every, self.start, self.end = steps, every, start, end
        self.initial_density = mask.density if initial_density is None else initial_density
        self.final_density = final_density
        cubic_density(0, start=start, end=end, initial=self.initial_density, final=final_density)  # refuses densities out of range
        self.how, self.share, self.final_share, self.generator = regrow, share, final_share, generator
        self.count = 0
        self.births = {name: torch.full_like(mask[name], -1, dtype=torch.int64) for name in mask}

    def density_at(self, step: int) -> float:
        """Return the density that gradual pruning asks for at a step."""
        return cubic_density(step, start=self.start, end=self.end, initial=self.initial_density, final=self.final_density)

    def share_at(self, step: int) -> float:
        """Return the share of a layer's weights that an update at this step swaps."""
        if self.how is None:
            return 0.0
        return self.final_share + (self.share - self.final_share) * (1 + math.cos(math.pi * step / self.steps)) / 2

    def due(self, step: int) -> bool:
        """Say whether the step of this number, counted from 1, ends with an update."""
        return step % self.every == 0 and self.start <= step < self.steps

    @torch.no_grad()
    def step(self, optimizer: torch.optim.Optimizer | None = None) -> Update | None:
        """Apply the mask after an optimiser's step; where an update is due, prune and regrow, and return what was done."""
        self.count += 1
        self.mask.apply(optimizer)
        if not self.due(self.count):
            return None
        pruned = 0
        if self.count <= self.end:
            pruned = prune_global(self.mask, max(1, round(self.density_at(self.count) * self.mask.size)))
            self.mask.apply(optimizer)
        regrown = self._regenerate(self.share_at(self.count))
        self.mask.apply(optimizer)
        return Update(self.count, self.mask.density, pruned, regrown)

    def _regenerate(self, share: float) -> int:
        if self.how is None or share == 0:
            return 0
        total = 0
        for name in self.mask:
            before = self.mask[name]
            grow(self.mask, name, drop_weakest(self.mask, name, share), self.how, self.generator)
            new = self.mask[name] & ~before
            self.births[name][new] = self.count
            total += int(new.sum())
        return total

    def regrown(self, name: str) -> Tensor:
        """Return which existing weights (bool, the weight's shape) were regrown at some time."""
        return self.mask[name] & (self.births[name] >= 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps, births and masks, to be saved beside the model's and the optimiser's state."""
        return {"count": self.count, "births": {n: b.clone() for n, b in self.births.items()}, "masks": self.mask.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put a saved state back; ``ValueError`` where its masks do not fit."""
        self.mask.load_state_dict(state["masks"])
        self.count = int(state["count"])
        self.births = {name: state["births"][name].to(self.mask[name].device, copy=True) for name in self.mask}
