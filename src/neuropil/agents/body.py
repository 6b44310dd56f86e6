"""One small interface for every body in a simulated world.

``o_0 = reset(seed)``; ``(o_{t+1}, r_{t+1}, terminated, truncated) = step(a_t)``, ``dt`` seconds apart. Equal seeds and equal actions give equal trajectories.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


class Step(NamedTuple):
    """What one step gives: ``observation`` f64 [O], ``reward``, and whether the episode is over (terms of towers2024).

    ``terminated``: the task itself has ended (goal reached, body fallen), nothing more can be earned and the value of what follows is 0.
    ``truncated``: it was cut off from outside (a time limit); the world would go on, and a learner estimates the value of what follows.
    """

    observation: Floats
    reward: float
    terminated: bool
    truncated: bool


class Body(Protocol):
    """A body to control. ``dt``: seconds a step; ``parts``: where each named part of an observation lies in it.

    Observations are f64 [``observation_size``], actions [``action_size``] between ``action_low`` and ``action_high``, both f64 [A].
    """

    dt: float
    observation_size: int
    parts: Mapping[str, slice]
    action_size: int
    action_low: Floats
    action_high: Floats

    def reset(self, seed: int) -> Floats:
        """Begin an episode, all of whose randomness follows from ``seed``, and give the first observation [O]."""
        ...

    def step(self, action: npt.ArrayLike) -> Step:
        """Act for ``dt`` seconds."""
        ...

    def render(self, height: int = 240, width: int = 320) -> Pixels:
        """Draw the scene, u8 [height, width, 3]."""
        ...


class World(Body):
    """What adapters share: checks of seeds and actions, and which episodes may go on.

    Raises ``TypeError`` for a seed that is no whole number and for actions that are no numbers; ``ValueError`` for an action of another shape, out
    of bounds or NaN; ``RuntimeError`` for a step before ``reset`` or after the end.
    """

    _running = False

    def reset(self, seed: int) -> Floats:
        """Begin an episode from ``seed``, a whole number from 0 to 2**32 - 1, and give the first observation [O]."""
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise TypeError(f"A seed is a whole number, {seed!r} of type {type(seed).__name__} was given.")
        if not 0 <= seed < 2**32:
            raise ValueError(f"A seed of a body lies between 0 and 2**32 - 1, {seed} was given; take it modulo 2**32.")
        self._running = True
        return self._reset(int(seed))

    def step(self, action: npt.ArrayLike) -> Step:
        """Act for ``dt`` seconds with ``action`` [A], within its bounds."""
        if not self._running:
            raise RuntimeError("No episode is running: it has not begun or it is over; call reset(seed).")
        acted = np.asarray(action)
        if acted.dtype.kind not in "fiu":
            raise TypeError(f"An action holds numbers, {acted.dtype} was given.")
        if acted.shape != (self.action_size,):
            raise ValueError(f"This body's action has the shape ({self.action_size},), {acted.shape} was given.")
        if not ((acted >= self.action_low) & (acted <= self.action_high)).all():
            raise ValueError(
                f"An action lies between action_low and action_high and holds no NaN, {acted.tolist()} was given; clip it first."
            )
        result = self._step(acted.astype(np.float64))
        self._running = not (result.terminated or result.truncated)
        return result

    @abstractmethod
    def _reset(self, seed: int) -> Floats: ...

    @abstractmethod
    def _step(self, action: Floats) -> Step: ...


def extra(module: str, distribution: str) -> Any:
    """Import a module of the extra ``agents``. Raises ``ImportError`` in one sentence where it cannot be had."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f'This body needs {distribution} ({error}); run pip install "neuropil[agents]".') from None
