"""Bodies of Gymnasium (extra ``agents``).

Source: towers2024.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from neuropil.agents.body import Floats, Pixels, Step, World, extra


class GymnasiumBody(World):
    """A Gymnasium environment with continuous observations and actions: ``GymnasiumBody("Pendulum-v1")``.

    ``dt`` in seconds is the environment's own, else one over its frames a second, else must be given. ``settings`` go to ``gymnasium.make``;
    ``environment`` is Gymnasium's own. ``terminated`` and ``truncated`` are Gymnasium's own. Drawing may need the environment's own extras.
    Source: towers2024. Raises ``ImportError`` without the extra, ``ValueError`` for discrete spaces, an unknown name or an unknown ``dt``.
    """

    def __init__(self, name: str, *, dt: float | None = None, **settings: Any) -> None:
        gymnasium = extra("gymnasium", "gymnasium")
        try:
            self.environment: Any = gymnasium.make(name, render_mode="rgb_array", **settings)
        except gymnasium.error.UnregisteredEnv as error:
            raise ValueError(f"Gymnasium has no environment {name!r}: {error}") from None
        for kind in ("observation", "action"):
            if not isinstance(space := getattr(self.environment, f"{kind}_space"), gymnasium.spaces.Box):
                raise ValueError(f"A body has continuous observations and actions, the {kind}s of {name} are {space}; choose another.")
        own = getattr(self.environment.unwrapped, "dt", None)
        frames = self.environment.metadata.get("render_fps")
        given = dt if dt is not None else own if own is not None else 1 / frames if frames else None
        if given is None or not given > 0:
            raise ValueError(f"dt of a body is in seconds and above 0, {given} is known of {name}; give dt.")
        self.dt = float(given)
        self.observation_size = int(np.prod(self.environment.observation_space.shape))
        self.parts = MappingProxyType({"observation": slice(0, self.observation_size)})
        space = self.environment.action_space
        self._shape, self._dtype = space.shape, space.dtype
        self.action_low, self.action_high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
        self.action_size = len(self.action_low)

    def render(self, height: int = 240, width: int = 320) -> Pixels:
        """Draw the scene, u8 [height, width, 3], the nearest pixel of the environment's own picture. Raises ``RuntimeError`` where it cannot."""
        try:
            drawn = np.asarray(self.environment.render(), np.uint8)
        except Exception as error:
            raise RuntimeError(f"{self.environment.spec.id} cannot draw here ({type(error).__name__}: {error}).") from error
        rows, columns = np.arange(height) * drawn.shape[0] // height, np.arange(width) * drawn.shape[1] // width
        return np.asarray(drawn[rows][:, columns])

    def _reset(self, seed: int) -> Floats:
        return np.asarray(self.environment.reset(seed=seed)[0], np.float64).ravel()

    def _step(self, action: Floats) -> Step:
        observation, reward, terminated, truncated, _ = self.environment.step(action.reshape(self._shape).astype(self._dtype))
        return Step(np.asarray(observation, np.float64).ravel(), float(reward), bool(terminated), bool(truncated))
