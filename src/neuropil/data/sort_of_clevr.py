"""Sort-of-CLEVR in state form: scenes of six coloured shapes told as lists of objects, with questions of one object and of how objects lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neuropil.data.checks import positive, whole

KINDS = ("shape", "left", "top", "colour of the nearest", "left of the other", "how many alike")
"""Kinds of question; the first three are of one object, the others of how objects lie and what they share."""
UNRELATED = 3
"""How many kinds are of one object."""


class SceneQuestions(NamedTuple):
    """Tokens x f32 [items, objects + 1, channels], the last of which asks; the right answer i64 [items]; the kind of question i64 [items]."""

    x: Tensor
    target: Tensor
    kind: Tensor


@dataclass(frozen=True)
class SortOfClevr:
    """Scenes of ``objects`` objects, each of another colour and either a rectangle or a circle, with one question.

    Objects lie anywhere in a square of side 2 around 0, their centres ``apart`` or farther from each other. The question names a colour and a kind: the object's shape; whether it is left, or in the upper half; the colour of the object nearest to it; whether it is left of another, whose colour is named too; how many others have its shape. Shapes, colours asked and kinds are equally likely
    (``relational``: the share of the last three kinds); the order of objects is random.

    Tokens: place, colour, shape, kind asked, colour of the other; an object has no kind and no other, the question no place and no shape. A place is x and y by ``cells`` place cells each: ``exp(-(x - c)^2 / (2 w^2))``, centres c evenly from -1 to 1, w the distance between them.
    Answers: no, yes, rectangle, circle, the ``objects`` colours, then the number of others alike, 0 to ``objects - 1``. ``draw(items, generator)`` gives ``SceneQuestions``; items are independent.

    Raises ``TypeError`` or ``ValueError`` for numbers that are none, and where objects so far apart find no room. Source: santoro2017 (task, and the idea of telling a scene as a list). Differs from it in that the nearest is asked by colour, since the shape that most objects have would be right for 0.69 of all scenes, and in that left of another takes the place of furthest.
    """

    objects: int = 6
    apart: float = 0.3
    cells: int = 8
    relational: float = 0.5

    def __post_init__(self) -> None:
        whole("objects", self.objects, 2)
        whole("cells", self.cells, 2)
        positive("apart", self.apart, "half sides")
        if self.objects * self.apart**2 > 1.5:
            raise ValueError(f"{self.objects} objects {self.apart} apart find no room in a square of side 2; give fewer, or less apart.")
        if not 0 <= self.relational <= 1:
            raise ValueError(f"relational is a share from 0 to 1, {self.relational} was given.")

    @property
    def channels(self) -> int:
        """Channels of a token."""
        return 2 * self.cells + 2 * self.objects + 2 + len(KINDS)

    @property
    def answers(self) -> int:
        """Answers there are."""
        return 4 + 2 * self.objects

    def draw(self, items: int, generator: torch.Generator) -> SceneQuestions:
        """Draw ``items`` scenes with a question each."""
        n, every = self.objects, torch.arange(items)
        places = self._places(items, generator)
        colours = torch.rand(items, n, generator=generator).argsort(1)
        shapes = torch.randint(2, (items, n), generator=generator)
        asked = torch.randint(n, (items,), generator=generator)
        related = torch.rand(items, generator=generator) < self.relational
        kind = torch.randint(UNRELATED, (items,), generator=generator) + UNRELATED * related
        colour = 2 * self.cells
        x = torch.zeros(items, n + 1, self.channels)
        x[:, :n, :colour] = self.encoded(places).flatten(2)
        x[:, :n, colour : colour + n].scatter_(2, colours.unsqueeze(2), 1.0)
        x[:, :n, colour + n : colour + n + 2].scatter_(2, shapes.unsqueeze(2), 1.0)
        x[every, n, colour + colours[every, asked]] = 1.0
        x[every, n, colour + n + 2 + kind] = 1.0
        other = (asked + torch.randint(1, n, (items,), generator=generator)) % n
        two = kind == KINDS.index("left of the other")
        x[every[two], n, colour + n + 2 + len(KINDS) + colours[every, other][two]] = 1.0
        own, shape = places[every, asked], shapes[every, asked]
        far = (places - own.unsqueeze(1)).square().sum(2)
        nearest = far.index_put((every, asked), torch.tensor(torch.inf)).argmin(1)
        answers = torch.stack(
            (
                2 + shape,
                (own[:, 0] < 0).long(),
                (own[:, 1] > 0).long(),
                4 + colours[every, nearest],
                (own[:, 0] < places[every, other, 0]).long(),
                4 + n + (shapes == shape.unsqueeze(1)).sum(1) - 1,
            ),
            1,
        )
        return SceneQuestions(x, answers[every, kind], kind)

    def encoded(self, places: Tensor) -> Tensor:
        """What place cells say of coordinates: [...] -> [..., cells]."""
        width = 2 / (self.cells - 1)
        return (-((places.unsqueeze(-1) - torch.linspace(-1, 1, self.cells)) / width).square() / 2).exp()

    def _places(self, items: int, generator: torch.Generator) -> Tensor:
        """Places [items, objects, 2], drawn anew for scenes with two centres too close."""
        places = torch.zeros(items, self.objects, 2)
        left = torch.arange(items)
        while len(left):
            places[left] = torch.rand(len(left), self.objects, 2, generator=generator) * 2 - 1
            gaps = (places[left].unsqueeze(2) - places[left].unsqueeze(1)).square().sum(3)
            close = (gaps + torch.eye(self.objects) * self.apart**2 * 9 < self.apart**2).any(2).any(1)
            left = left[close]
        return places
