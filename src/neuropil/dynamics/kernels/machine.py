"""The two kernels of an equation, ready to run on flat arrays: compiled by Numba on a CPU, by Triton on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from neuropil.dynamics.kernels import compiled, launched
from neuropil.dynamics.kernels.emit import emit, names
from neuropil.dynamics.kernels.emit_triton import emit_triton
from neuropil.dynamics.kernels.layout import DTYPES, Coefficients, Place
from neuropil.dynamics.kernels.trace import Traced

Shared = tuple[tuple[bool, ...], tuple[bool, ...]]
COMPILERS = {"cpu": "Numba", "cuda": "Triton"}
"""What compiles kernels for a kind of device."""


class Bound(Protocol):
    """A kernel with its arguments."""

    def run(self) -> None:
        """Run it."""
        ...

    def put(self, place: int, array: Tensor) -> None:
        """Let it work on another array in this place, of the same shape."""
        ...


def missing(device: str) -> str:
    """An empty string where a kind of device has kernels, else what is missing in one sentence."""
    if device not in COMPILERS:
        return f"the input lies on {device}"
    return compiled.available() if COMPILERS[device] == "Numba" else launched.available()


def transforming() -> str:
    """What torch does with the model at this moment that kernels cannot take part in, in words; an empty string for nothing."""
    if torch.compiler.is_compiling():
        return "torch is compiling the model itself"
    return "kernels have no forward-mode derivative" if torch.autograd.forward_ad._current_level >= 0 else ""


@lru_cache(maxsize=256)
def text(traced: Traced, learnable: tuple[str, ...], dtype: str, shared: Shared | None = None, compiler: str = "Numba") -> str:
    """The kernels' text, with gradients for ``learnable``."""
    return {"Numba": emit, "Triton": emit_triton}[compiler](traced.learning(learnable), dtype, shared)


class Machine(NamedTuple):
    """An equation with its cell's ``own`` tensors by name ([] or [N], behind an axis of ``replicas`` if not 0), for neurons in rows of ``features``."""

    traced: Traced
    own: dict[str, Tensor]
    features: int
    replicas: int

    def forwards(self, every: int, x: Tensor, states: Sequence[Tensor], y: Tensor, kept: Sequence[Tensor]) -> Bound:
        """From ``x`` [T, M] and ``states`` [M] make ``y`` [T, M] and the last ``states``; ``kept`` [K, M], if K > 0, get those before each ``every``-th moment."""
        traced = self.traced.learning(())
        c = Coefficients.of(traced.forward, self.own, x.dtype, self.replicas)
        shared: Shared = (c.shared, (True,) * len(traced.backward.coefficients))
        if COMPILERS[x.device.type] == "Triton":
            lines = text(traced, (), DTYPES[x.dtype], shared, "Triton")
            arrays = [x, *states, y, *kept, *c.laid_out(self.features)]
            return launched.Launch(lines, "forward", arrays, self._sizes(x, every), len(kept[0]) > 0)
        place = Place.of(x.shape[1], self.features, replicas=max(self.replicas, 1))
        s, _, keeping, _, c_names, _ = names(traced)
        kinds = _kinds((("x",), "time"), (s, "neurons"), (("y",), "time"), (keeping, "kept"), (c_names, "neurons"))
        kernel = compiled.compiled(text(traced, (), DTYPES[x.dtype], shared), "forward", kinds)
        arrays = [x, *states, y, *kept, *c.laid_out(place.period)]
        return compiled.Table(kernel, (place.total, *x.shape, len(kept[0]), every, *place[:4]), arrays)

    def backwards(
        self,
        learnable: tuple[str, ...],
        every: int,
        x: Tensor,
        kept: Sequence[Tensor],
        gy: Tensor,
        gs: Sequence[Tensor],
        gx: Tensor,
        sums: Sequence[Tensor],
    ) -> Bound:
        """From ``kept`` and the gradients ``gy`` [T, M], ``gs`` [M] make ``gx`` [T, M], the first states' ``gs``, and add those of ``learnable`` to ``sums`` [M]."""
        traced = self.traced.learning(learnable)
        c, b = (Coefficients.of(side, self.own, x.dtype, self.replicas) for side in (traced.forward, traced.backward))
        if COMPILERS[x.device.type] == "Triton":
            lines, all_kept = text(traced, learnable, DTYPES[x.dtype], (c.shared, b.shared), "Triton"), every == 1
            again = [one.new_empty((0 if all_kept else every, x.shape[1])) for one in kept]
            arrays = [x, *kept, gy, *gs, gx, *sums, *c.laid_out(self.features), *b.laid_out(self.features), *again]
            return launched.Launch(lines, "backward", arrays, self._sizes(x, len(x) if all_kept else every), not all_kept)
        place = Place.of(x.shape[1], self.features, replicas=max(self.replicas, 1), bytes_each=len(kept) * every * x.element_size())
        _, gs_names, keeping, own_names, c_names, b_names = names(traced)
        kinds = _kinds(
            (("x",), "time"), (keeping, "kept"), (("gy",), "time"), (gs_names, "neurons"), (("gx",), "time"),
            (own_names, "neurons"), (c_names, "neurons"), (b_names, "neurons"),
        )  # fmt: skip
        kernel = compiled.compiled(text(traced, learnable, DTYPES[x.dtype], (c.shared, b.shared)), "backward", kinds)
        arrays = [x, *kept, gy, *gs, gx, *sums, *c.laid_out(place.period), *b.laid_out(place.period)]
        return compiled.Table(kernel, (place.total, *x.shape, len(kept[0]), every, *place[:4]), arrays)

    def _sizes(self, x: Tensor, every: int) -> tuple[int, ...]:
        """What ``emit_triton.SIZES`` names."""
        return (*x.shape, x.shape[1] // max(self.replicas, 1), self.features, every)


def _kinds(*groups: tuple[Sequence[str], str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, kind) for names, kind in groups for name in names)
