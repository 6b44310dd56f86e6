"""The locomotion circuit of the worm C. elegans as a controller of a chain of joints (NCAP: neural circuit architectural prior)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Array = TypeVar("Array", Tensor, npt.NDArray[np.float64])
SIGNS = {"proprioception": 1, "oscillator": 1, "ipsilateral": 1, "contralateral": -1, "speed": -1, "turn": 1}
"""The circuit's weights in order, and whether each excites (+1) or inhibits (-1); the last two belong to units that may be absent."""


def scale_angles(angles: Array, joints: int | None = None) -> Array:
    """Scale joint angles to -1 .. 1: ``clip(angle (joints + 1) / (2 pi), -1, 1)``, [..., J] -> [..., J]; ``joints`` is J unless given.

    A body of n links bends at most 2 pi / n at a joint, so longer bodies are scaled alike. Source: bhattasali2022.
    """
    count = angles.shape[-1] if joints is None else joints
    return (angles * ((count + 1) / (2 * np.pi))).clip(-1.0, 1.0)


def square_wave(step: Any, period: int = 60) -> Any:
    """The head oscillator: 1 in the first half of a period, -1 in the second; ``step`` whole numbers of any shape.

    Equation: ``1 if step mod period < period // 2 else -1``. Source: bhattasali2022. Raises ``ValueError`` for a period below 2.
    """
    if period < 2:
        raise ValueError(f"An oscillator's period is at least 2 steps, {period} was given.")
    return 1.0 - 2.0 * (step % period >= period // 2)


def ncap_torques(
    angles: Array,
    wave: Any,
    weights: Mapping[str, Any],
    *,
    signed: bool = True,
    right: Any = 0.0,
    left: Any = 0.0,
    speed: Any = 1.0,
    turn_joints: int = 1,
) -> Array:
    """Torques of the circuit for scaled joint angles: a wave begun at the head is handed from each joint to the next by stretch receptors.

    Equations, with ``g(x) = clip(x, 0, 1)``, joint i counted from the head, D and V the dorsal and the ventral side::

        d_i = g(q_i),  v_i = g(-q_i);  o_D = g(wave),  o_V = g(-wave)
        bD_i = g([i > 0] w_prop d_{i-1} + [i = 0] w_osc o_D + (1 - g(speed)) w_speed + [i < turn_joints] w_turn g(right)), likewise bV_i with left
        mD_i = g(w_ipsi bD_i + w_contra bV_i),  mV_i = g(w_ipsi bV_i + w_contra bD_i);  torque_i = mD_i - mV_i

    ``signed``: at every use excitatory weights are clamped to 0 and above, inhibitory ones to 0 and below. Clamped weights and saturated
    neurons pass no gradient. Without turn units only one side of a joint is ever driven, and a signed ``contralateral`` weight does nothing.
    Shapes: angles [..., J] -> [..., J], numpy or torch; ``wave``, ``right``, ``left`` and ``speed`` numbers or [..., 1];
    each weight a number, [..., 1] (shared along the body) or [..., J] (one a joint). ``weights`` without "speed" or "turn" has no such unit.
    Source: bhattasali2022. Raises ``ValueError`` for a weight that is missing or unknown.
    """
    required = set(SIGNS) - {"speed", "turn"}
    if not required <= set(weights) <= set(SIGNS):
        raise ValueError(
            f"The circuit has the weights {', '.join(SIGNS)} (the last two optional), {', '.join(weights) or 'none'} were given."
        )
    w = {name: _clamp(value, SIGNS[name]) if signed else value for name, value in weights.items()}
    joints = angles.shape[-1]
    before = [max(i - 1, 0) for i in range(joints)]
    head, rest = _mask(angles, range(1)), _mask(angles, range(1, joints))
    dorsal = rest * w["proprioception"] * angles.clip(0, 1)[..., before] + head * w["oscillator"] * _graded(wave)
    ventral = rest * w["proprioception"] * (-angles).clip(0, 1)[..., before] + head * w["oscillator"] * _graded(-wave)
    if "speed" in w:
        brake = (1 - _graded(speed)) * w["speed"]
        dorsal, ventral = dorsal + brake, ventral + brake
    if "turn" in w:
        steered = _mask(angles, range(turn_joints))
        dorsal, ventral = dorsal + steered * w["turn"] * _graded(right), ventral + steered * w["turn"] * _graded(left)
    dorsal, ventral = dorsal.clip(0, 1), ventral.clip(0, 1)
    ipsi, contra = w["ipsilateral"], w["contralateral"]
    torque: Array = (ipsi * dorsal + contra * ventral).clip(0, 1) - (ipsi * ventral + contra * dorsal).clip(0, 1)
    return torque


class NCAPSwimmer(nn.Module):
    """The circuit of ``ncap_torques`` with weights that can be learned, for bodies of any length: ``torques = NCAPSwimmer()(angles, step)``.

    Shapes: angles in radians [..., J] -> torques in -1 .. 1 [..., J]; ``step`` a whole number or whole numbers [..., 1], time in control steps.
    ``start``: "unit" for +1 and -1 (where ``signed=False``: either, by a fair coin, as in the authors' code), "random" for uniform in 0 .. 1 and
    -1 .. 0 (``signed=False``: -1 .. 1), each drawn from ``generator``. One parameter a weight, shared along the body, so a body may be exchanged for a
    longer one: 4, and one each for ``speed`` and ``turn`` units. Clamps pass no gradient where they act, so these weights are commonly searched (``Evolution``).
    Source: bhattasali2022. Raises ``ValueError`` for another ``start`` or a period below 2.
    """

    def __init__(
        self,
        *,
        signed: bool = True,
        start: Literal["unit", "random"] = "unit",
        period: int = 60,
        speed: bool = False,
        turn: bool = False,
        turn_joints: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if start not in ("unit", "random"):
            raise ValueError(f"The circuit's weights start 'unit' or 'random', {start!r} was given.")
        square_wave(0, period)
        self.signed, self.period, self.turn_joints = signed, period, turn_joints
        absent = {name for name, present in (("speed", speed), ("turn", turn)) if not present}
        self.names = tuple(name for name in SIGNS if name not in absent)
        signs = torch.tensor([float(SIGNS[name]) for name in self.names])
        drawn = torch.rand(len(self.names), generator=generator)
        if start == "unit":
            first = signs if signed else torch.where(drawn < 0.5, 1.0, -1.0)
        else:
            first = drawn * signs if signed else 2 * drawn - 1
        self.weight = nn.Parameter(first)

    def forward(self, angles: Tensor, step: int | Tensor, *, right: Any = 0.0, left: Any = 0.0, speed: Any = 1.0) -> Tensor:
        """Return torques for joint angles in radians; ``right``, ``left`` and ``speed`` in 0 .. 1 drive the units that are there."""
        weights = dict(zip(self.names, self.weight, strict=True))
        commands = {"right": right, "left": left, "speed": speed, "turn_joints": self.turn_joints}
        return ncap_torques(scale_angles(angles), square_wave(step, self.period), weights, signed=self.signed, **commands)


def _graded(x: Any) -> Any:
    return x.clip(0, 1) if isinstance(x, Tensor | np.ndarray) else min(max(x, 0.0), 1.0)


def _clamp(weight: Any, sign: int) -> Any:
    if isinstance(weight, Tensor | np.ndarray):
        return weight.clip(min=0) if sign > 0 else weight.clip(max=0)
    return max(weight, 0.0) if sign > 0 else min(weight, 0.0)


def _mask(angles: Array, joints: range) -> Any:
    """1 at these joints, 0 elsewhere, [J], of the kind and on the device of ``angles``."""
    values = [float(i in joints) for i in range(angles.shape[-1])]
    return angles.new_tensor(values) if isinstance(angles, Tensor) else np.array(values, angles.dtype)
