"""Bodies of the dm_control suite, simulated by MuJoCo (extra ``agents``).

Sources: tunyasuvunakool2020 (dm_control), todorov2012 (MuJoCo).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropil.agents.body import Floats, Pixels, Step, World, extra


class DMControlBody(World):
    """A task of the dm_control suite: ``DMControlBody("swimmer", "swimmer6")``, or any builder in a domain: ``("swimmer", "swimmer", n_links=12)``.

    ``settings`` go to the task's builder (``time_limit`` in seconds, ...). ``environment`` is dm_control's own, its physics included.
    ``terminated`` where the task ends (its last discount is 0), ``truncated`` at the time limit. Drawing needs OpenGL: with neither ``MUJOCO_GL`` nor a display set, EGL is tried.
    Source: tunyasuvunakool2020. Raises ``ImportError`` without the extra, ``ValueError`` for an unknown domain or task.
    """

    def __init__(self, domain: str, task: str, **settings: Any) -> None:
        suite = _suite()
        if domain not in suite.TASKS_BY_DOMAIN:
            raise ValueError(f"dm_control has no domain {domain!r}; it has {', '.join(suite.TASKS_BY_DOMAIN)}.")
        builders = import_module(f"dm_control.suite.{domain}")
        build = builders.SUITE.get(task) or (None if task.startswith("_") else getattr(builders, task, None))
        if not callable(build):
            raise ValueError(f"The domain {domain} has no task {task!r}; it has {', '.join(suite.TASKS_BY_DOMAIN[domain])}.")
        try:
            self.environment: Any = build(**settings, random=np.random.RandomState(0))
        except AttributeError as error:
            found = " and ".join(f"{name} {version(name)}" for name in ("dm-control", "mujoco"))
            raise ImportError(f"{found} do not fit each other ({error}); install the MuJoCo that this dm-control was made for.") from error
        self.dt = float(self.environment.control_timestep())
        shapes = {name: int(np.prod(spec.shape)) for name, spec in self.environment.observation_spec().items()}
        ends = np.cumsum([0, *shapes.values()]).tolist()
        self.parts = MappingProxyType({name: slice(a, b) for name, a, b in zip(shapes, ends, ends[1:], strict=False)})
        self.observation_size = ends[-1]
        spec = self.environment.action_spec()
        self.action_size = int(np.prod(spec.shape))
        self.action_low = np.broadcast_to(np.asarray(spec.minimum, np.float64), spec.shape)
        self.action_high = np.broadcast_to(np.asarray(spec.maximum, np.float64), spec.shape)

    def render(self, height: int = 240, width: int = 320) -> Pixels:
        """Draw from the first camera, u8 [height, width, 3]. Raises ``RuntimeError`` in one sentence without OpenGL."""
        try:
            return np.asarray(self.environment.physics.render(height, width, camera_id=0), np.uint8)
        except Exception as error:
            raise RuntimeError(
                f"MuJoCo cannot draw here ({type(error).__name__}: {error}); install EGL or OSMesa and set MUJOCO_GL to egl or osmesa."
            ) from error

    def _reset(self, seed: int) -> Floats:
        self.environment.task.random.seed(seed)
        return self._flat(self.environment.reset().observation)

    def _step(self, action: Floats) -> Step:
        moment = self.environment.step(action)
        over, terminal = bool(moment.last()), moment.discount == 0
        return Step(self._flat(moment.observation), float(moment.reward), over and terminal, over and not terminal)

    def _flat(self, observation: Mapping[str, npt.ArrayLike]) -> Floats:
        return np.concatenate([np.asarray(observation[name], np.float64).ravel() for name in self.parts])


def _suite() -> Any:
    """Import dm_control's suite. It chooses how to draw at import: with neither ``MUJOCO_GL`` nor a display, EGL, else not at all."""
    if "MUJOCO_GL" in os.environ or os.environ.get("DISPLAY"):
        return extra("dm_control.suite", "dm-control")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            os.environ["MUJOCO_GL"] = "egl"
            try:
                return extra("dm_control.suite", "dm-control")
            except ImportError:
                os.environ["MUJOCO_GL"] = "disabled"
                return extra("dm_control.suite", "dm-control")
        finally:
            del os.environ["MUJOCO_GL"]
