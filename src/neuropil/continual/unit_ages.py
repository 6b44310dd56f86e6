"""Unit ages: units that carry the activity of an episode are selected, grow older with every episode, and freeze."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class UnitAges:
    """Ages of hidden units, layer by layer: 0 free, 1 selected in this episode, one more after each episode that has ended.

    ``select(activity, share)``: in each layer the fewest units that together carry ``share`` of the layer's mean activity become 1 if they are younger than 2, the others younger than 2
    become 0; older units count towards the share and keep their ages. ``promote()`` ends an episode. ``ages`` is i64 [units] a layer.
    ``frozen(episodes, below=0)``: units whose incoming weights no longer change while activations of the last ``episodes`` episodes are replayed, ``age > episodes + 1``; in the first ``below`` layers, those
    below where activations are kept, ``age > 1``, so that what is kept of used units stays what they give.
    ``at_least(age)``: bool [units] a layer. Raises ``ValueError`` for no layers, sizes below 1, activity of other layers or sizes, ``below`` that counts no layers, and what ``leading_units`` raises.
    Source: gurbuz2023.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        if not sizes or min(sizes) < 1:
            raise ValueError(f"UnitAges takes one layer or more, of one unit or more, {list(sizes)} was given.")
        self.ages = [torch.zeros(size, dtype=torch.long) for size in sizes]

    def select(self, activity: Sequence[Tensor], share: float) -> None:
        """Divide the young units of every layer into selected and free ones by their mean activity [units]."""
        given, own = [list(layer.shape) for layer in activity], [list(ages.shape) for ages in self.ages]
        if given != own:
            raise ValueError(f"select takes mean activities {own}, one tensor a layer, {given} was given.")
        for ages, layer in zip(self.ages, activity, strict=True):
            chosen = leading_units(layer, share)
            ages.copy_(torch.where(ages < 2, chosen.to(ages), ages))

    def promote(self) -> None:
        """End an episode: all but free units grow older by one."""
        for ages in self.ages:
            ages += ages > 0

    def at_least(self, age: int) -> list[Tensor]:
        """Which units are of this age or older."""
        return [ages >= age for ages in self.ages]

    def frozen(self, episodes: int, below: int = 0) -> list[Tensor]:
        """Which units are consolidated, where the last ``episodes`` episodes are still replayed from what the first ``below`` layers gave."""
        if not 0 <= below <= len(self.ages):
            raise ValueError(f"below counts layers, 0 to {len(self.ages)}, {below!r} was given.")
        return self.at_least(2)[:below] + self.at_least(episodes + 2)[below:]


def leading_units(activity: Tensor, share: float) -> Tensor:
    """Which units, from the most active on, are the fewest that carry ``share`` of the sum of ``activity`` [units]: bool [units].

    Of units equally active the earlier leads; one unit leads at least, also of a silent layer; units without activity never add to a share.
    Raises ``ValueError`` for activity that is not [units] from 0 up, and for a share outside 0 to 1.
    """
    if activity.ndim != 1 or not len(activity) or not bool((activity >= 0).all()):
        raise ValueError(f"leading_units takes mean activities [units] from 0 up, {list(activity.shape)} was given; rectify them first.")
    if not 0 <= share <= 1:
        raise ValueError(f"A share of activity is from 0 to 1, {share!r} was given.")
    ranked, order = activity.double().sort(descending=True, stable=True)
    carried = ranked.cumsum(0)
    needed = torch.cat([torch.ones(1, dtype=torch.bool), (carried[:-1] < share * carried[-1]) & (ranked[1:] > 0)])
    return torch.zeros_like(activity, dtype=torch.bool).index_put_((order[needed],), torch.tensor(True))
