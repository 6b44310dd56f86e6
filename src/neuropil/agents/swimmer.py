"""The swimmer of the dm_control suite without its wrapper: many bodies of any number of links, side by side, stepped in MuJoCo directly.

Sources: tunyasuvunakool2020 (the body), todorov2012 (MuJoCo).
"""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropil.agents.body import Floats, extra
from neuropil.agents.dm_control_body import DMControlBody

HALF_LINK = 0.05
"""Metres from a link's middle to the joint at its front end; joints lie 0.1 m apart."""


class SwimmerBodies:
    """``bodies`` swimmers of ``links`` links in one viscous plane each, moved by torques at their ``links - 1`` joints.

    Physics, torques (at most 5e-4 N m, scaled to -1 .. 1) and the step of 0.03 s (15 of MuJoCo's) are those of ``DMControlBody("swimmer", ...)``, with
    which it agrees step by step; there is no target, and nothing is drawn. Joint 0 is the one behind the head.
    ``angles`` f64 [bodies, links - 1] in radians, ``limit = 2 pi / links`` the largest that a joint allows; ``forward_velocity`` f64 [bodies] in m/s,
    that of the head along its own axis, nose first.
    Source: tunyasuvunakool2020. Raises ``ImportError`` without the extra ``agents``, ``ValueError`` for fewer than 3 links or 1 body.
    """

    dt = 0.03

    def __init__(self, links: int, bodies: int = 1) -> None:
        if links < 3 or bodies < 1:
            raise ValueError(
                f"A swimmer has at least 3 links, and there is at least 1 of it; {links} links and {bodies} bodies were given."
            )
        self._mujoco: Any = extra("mujoco", "mujoco")
        self.model: Any = copy(_compiled(links))
        self.links, self.bodies, self.limit = links, bodies, 2 * np.pi / links
        self._substeps = round(self.dt / self.model.opt.timestep)
        self._data = [self._mujoco.MjData(self.model) for _ in range(bodies)]
        self._position = [data.qpos for data in self._data]
        self._velocity = [data.qvel for data in self._data]
        self._control = [data.ctrl for data in self._data]

    def reset(self, angles: npt.ArrayLike, heading: npt.ArrayLike = 0.0) -> None:
        """Put every body at rest in a posture: ``angles`` [bodies, links - 1] (or one that broadcasts) and ``heading`` [bodies], in radians."""
        posture = np.broadcast_to(np.asarray(angles, np.float64), (self.bodies, self.links - 1))
        headings = np.broadcast_to(np.asarray(heading, np.float64), (self.bodies,))
        for data, position, joints, head in zip(self._data, self._position, posture, headings, strict=True):
            self._mujoco.mj_resetData(self.model, data)
            position[2], position[3:] = head, joints

    def step(self, torques: npt.ArrayLike) -> None:
        """Apply ``torques`` [bodies, links - 1], each within -1 .. 1 (MuJoCo clips others), for ``dt`` seconds."""
        given = np.broadcast_to(np.asarray(torques, np.float64), (self.bodies, self.links - 1))
        if np.isnan(given).any():
            raise ValueError("A torque is NaN; the controller diverged.")
        step, model, substeps = self._mujoco.mj_step, self.model, self._substeps
        for data, control, torque in zip(self._data, self._control, given, strict=True):
            control[:] = torque
            step(model, data, substeps)

    @property
    def angles(self) -> Floats:
        """Joint angles, f64 [bodies, links - 1], radians."""
        return np.array(self._position)[:, 3:]

    @property
    def forward_velocity(self) -> Floats:
        """Velocity of the head along its own axis, nose first, f64 [bodies], m/s.

        The head turns about its front end, ``HALF_LINK`` before its middle, where its velocity is read: turning moves that point only sideways.
        """
        velocity = np.array([v[:3] for v in self._velocity])
        turned = np.array([q[2] for q in self._position])
        return np.asarray(np.sin(turned) * velocity[:, 0] - np.cos(turned) * velocity[:, 1])

    @property
    def outline(self) -> Floats:
        """Ends of the links from the nose back, f64 [bodies, links + 1, 2], metres."""
        position = np.array(self._position)
        direction = np.cumsum(position[:, 2:], axis=1)
        back = 2 * HALF_LINK * np.stack([-np.sin(direction), np.cos(direction)], axis=2)
        front = position[:, None, :2] + np.array([0.0, -HALF_LINK])
        return np.concatenate([front, front + np.cumsum(back, axis=1)], axis=1)


@cache
def _compiled(links: int) -> Any:
    """Compile the suite's model once a length, its sensors off: what they would read follows from positions and velocities."""
    model = DMControlBody("swimmer", "swimmer", n_links=links).environment.physics.model.ptr
    model.opt.disableflags |= extra("mujoco", "mujoco").mjtDisableBit.mjDSBL_SENSOR
    return model


def swim_reward(forward_velocity: npt.ArrayLike, desired_speed: float = 0.1) -> Floats:
    """Reward of the task Swim: 0 at rest or backwards, rising linearly to 1 at ``desired_speed`` (m/s) and beyond.

    Equation: ``r = clip(v / desired_speed, 0, 1)``. Shapes: any -> the same.
    Source: bhattasali2022. Raises ``ValueError`` for a speed of 0 or less.
    """
    if not desired_speed > 0:
        raise ValueError(f"The desired speed is above 0 m/s, {desired_speed} was given.")
    return np.clip(np.asarray(forward_velocity, np.float64) / desired_speed, 0.0, 1.0)
