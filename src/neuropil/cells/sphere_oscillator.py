"""Sphere oscillator: a unit vector that forces turn towards them, the vector-valued Kuramoto oscillator of AKOrN."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neuropil.dynamics import Cell, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import CELLS


def on_spheres(x: Tensor, dims: int, *, axis: int = -1) -> Tensor:
    """Scale every group of ``dims`` neighbours along ``axis`` to length 1: x [..., N, ...] -> [..., N, ...]; zeros stay zeros."""
    groups = _groups(x, dims, axis)
    return _scaled(groups, axis).flatten(axis - 1, axis)


def turned(
    x: Tensor, force: Tensor, *, dims: int, gamma: float, projection: float = 1.0, omega: Tensor | None = None, axis: int = -1
) -> Tensor:
    """Positions after one step of ``SphereOscillator`` along any axis (the channels of pictures are ``axis=-3``).

    ``x``, ``force`` [..., N, ...] -> [..., N, ...] where ``N`` along ``axis`` holds groups of ``dims``, of unit length in ``x``; ``omega`` [N / 2] or None.
    """
    at, pull = _groups(x, dims, axis), _groups(force, dims, axis)
    change = pull if projection == 0 else pull - projection * (at * pull).sum(axis, keepdim=True) * at
    if omega is not None:
        change = change + _groups(_spun(x, omega, axis), dims, axis)
    return _scaled(at + gamma * change, axis).flatten(axis - 1, axis)


@CELLS.register(
    cites=("miyato2024",),
    tags=("oscillator", "phase", "vector"),
    example={"size": 8, "dims": 4, "gamma": 0.5, "omega": 0.3},
    features=(8,),
    off={"gamma": 0.0},
    like=lambda off: lambda x: off.initial_like(x).position,
)
class SphereOscillator(Cell):
    """Generalised Kuramoto oscillators: unit vectors in ``dims`` dimensions that turn by themselves and towards the force on them.

    Equation, for each group ``x`` of ``dims`` neighbouring features and the force ``u`` on it::

        x <- normalise(x + gamma (Omega x + u - projection <u, x> x))

    ``projection = 1`` leaves of the force what is tangent to the sphere; 0 takes all of it, which normalisation alone then holds on the sphere. ``Omega`` turns
    each pair of features: ``(Omega x)_1 = omega x_2``, ``(Omega x)_2 = -omega x_1``. For small ``gamma`` a step is a step of length ``gamma`` of
    ``dx/dt = Omega x + u - <u, x> x``. In 2 dimensions, ``x = (cos theta, sin theta)``, that is ``d theta / dt = -omega + |u| sin(angle of u - theta)``, the Kuramoto model.

    A network, each oscillator pulled by what it is given and by all others: ``Recurrent(SphereOscillator(N, dims=D), Dense(N, N))``, begun at
    positions ``x`` by the state ``State(cell.State(x), x)``. For pictures: ``neuropil.networks.KuramotoLayer``.

    ``x`` [..., N]: force -> ``y`` = ``position`` [..., N], ``N`` a multiple of ``dims``; at rest every group is (1, 0, ...). No units: ``gamma`` counts steps as the paper does. ``omega``:
    angles a unit of gamma, shared or [N / 2], None or 0 for no turning (then ``dims`` may be odd). Raises ``ValueError`` for a ``size`` that ``dims`` does not divide, dims below 2 or odd with ``omega``, a negative ``gamma``
    or a ``projection`` outside 0 to 1. Source: miyato2024. Differs from the authors' code in that ``omega=None`` means no turning; theirs then adds ``x`` itself, which halves ``gamma``.
    """

    emits = "phase"
    omega: Tensor | None

    class State(NamedTuple):
        """``position``: unit vectors, one after another."""

        position: Tensor

    def __init__(
        self,
        size: int,
        *,
        dims: int = 2,
        gamma: float = 1.0,
        projection: float = 1.0,
        omega: Value | None = None,
        learnable: bool = False,
        dt: float | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        check_sphere(size, dims, gamma, projection, omega is not None)
        self.dims, self.gamma, self.projection = dims, float(gamma), float(projection)
        self.omega = None if omega is None else parameter(omega, size=size // 2, learnable=learnable, name="omega")

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Every oscillator at the first pole, (1, 0, ...)."""
        assert self.size is not None
        position = torch.zeros(*leading, self.size, **self._place(device, dtype))
        position[..., :: self.dims] = 1.0
        return self.State(position)

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: the force ``x`` [..., N] -> positions [..., N]."""
        at = self.ready(x, s).position
        y = turned(at, x, dims=self.dims, gamma=self.gamma, projection=self.projection, omega=self.omega)
        return y, self.State(y)

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{super().extra_repr()}, dims={self.dims}, gamma={self.gamma:g}, projection={self.projection:g}"


def check_sphere(size: int, dims: int, gamma: float, projection: float, turning: bool) -> None:
    """Raise ``ValueError`` in one sentence for settings that are no oscillators."""
    if isinstance(dims, bool) or not isinstance(dims, int) or dims < 2 or size % dims:
        raise ValueError(f"dims is a whole number from 2 that divides the {size} features, {dims!r} was given.")
    if turning and dims % 2:
        raise ValueError(f"omega turns pairs of features, dims {dims} is odd; give even dims, or omega=None.")
    if not 0 <= gamma < math.inf:
        raise ValueError(f"gamma is a finite number, 0 or more, {gamma!r} was given.")
    if not 0 <= projection <= 1:
        raise ValueError(f"projection is from 0 (none) to 1 (the tangent), {projection!r} was given.")


def _groups(x: Tensor, dims: int, axis: int) -> Tensor:
    groups: Tensor = x.unflatten(axis, (-1, dims))
    return groups


def _scaled(groups: Tensor, axis: int) -> Tensor:
    """Groups at length 1; by the sum of squares, which torch adds up many times faster over an inner axis than ``vector_norm``."""
    return groups * groups.square().sum(axis, keepdim=True).clamp_min(1e-24).rsqrt()


def _spun(x: Tensor, omega: Tensor, axis: int) -> Tensor:
    """``Omega x``: pairs turned by a right angle, times their ``omega``."""
    one, other = x.unflatten(axis, (-1, 2)).unbind(axis)
    rate = omega.reshape(-1, *[1] * (-1 - axis))
    return torch.stack((rate * other, -rate * one), axis).flatten(axis - 1, axis)
