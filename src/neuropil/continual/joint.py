"""Joint training: the ceiling. Whenever a task comes, all tasks so far are learned together."""

from __future__ import annotations

from typing import ClassVar

from neuropil.continual.strategy import STRATEGIES, Strategy


@STRATEGIES.register(cites=("caruana1997",), tags=("baseline",), example={})
class Joint(Strategy):
    """Gradient descent on the data of all tasks up to the present one, from the weights at hand; it keeps everything and breaks the rules.

    It costs k times the steps of one task when task k comes, and all examples are kept. Source: caruana1997. Refuses to run online and without known boundaries.
    """

    needs_boundaries: ClassVar[bool] = True
    sees_all: ClassVar[bool] = True
