"""The two kernels of an equation, ready to run on flat arrays: compiled by Numba, on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from torch import Tensor

from neuropil.dynamics.kernels.compiled import Table, compiled
from neuropil.dynamics.kernels.emit import emit, names
from neuropil.dynamics.kernels.layout import DTYPES, Coefficients, Place
from neuropil.dynamics.kernels.trace import Traced

Shared = tuple[tuple[bool, ...], tuple[bool, ...]]


@lru_cache(maxsize=256)
def text(traced: Traced, learnable: tuple[str, ...], dtype: str, shared: Shared | None = None) -> str:
    """The kernels' text, with gradients for ``learnable``."""
    return emit(traced.learning(learnable), dtype, shared)


class Machine(NamedTuple):
    """An equation with its cell's ``own`` tensors by name ([] or [N], behind an axis of ``replicas`` if not 0), for neurons in rows of ``features``."""

    traced: Traced
    own: dict[str, Tensor]
    features: int
    replicas: int

    def forwards(self, every: int, x: Tensor, states: Sequence[Tensor], y: Tensor, kept: Sequence[Tensor]) -> Table:
        """From ``x`` [T, M] and ``states`` [M] make ``y`` [T, M] and the last ``states``; ``kept`` [K, M], if K > 0, get those before each ``every``-th moment."""
        traced = self.traced.learning(())
        place = Place.of(x.shape[1], self.features, replicas=max(self.replicas, 1))
        c = Coefficients.of(traced.forward, self.own, x.dtype, self.replicas)
        shared: Shared = (c.shared, (True,) * len(traced.backward.coefficients))
        s, _, keeping, _, c_names, _ = names(traced)
        kinds = _kinds((("x",), "time"), (s, "neurons"), (("y",), "time"), (keeping, "kept"), (c_names, "neurons"))
        kernel = compiled(text(traced, (), DTYPES[x.dtype], shared), "forward", kinds, DTYPES[x.dtype])
        return kernel((place.total, *x.shape, len(kept[0]), every, *place[:4]), [x, *states, y, *kept, *c.laid_out(place.period)])

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
    ) -> Table:
        """From ``kept`` and the gradients ``gy`` [T, M], ``gs`` [M] make ``gx`` [T, M], the first states' ``gs``, and add those of ``learnable`` to ``sums`` [M]."""
        traced = self.traced.learning(learnable)
        place = Place.of(x.shape[1], self.features, replicas=max(self.replicas, 1), bytes_each=len(kept) * every * x.element_size())
        c, b = (Coefficients.of(side, self.own, x.dtype, self.replicas) for side in (traced.forward, traced.backward))
        _, gs_names, keeping, own_names, c_names, b_names = names(traced)
        kinds = _kinds(
            (("x",), "time"), (keeping, "kept"), (("gy",), "time"), (gs_names, "neurons"), (("gx",), "time"),
            (own_names, "neurons"), (c_names, "neurons"), (b_names, "neurons"),
        )  # fmt: skip
        kernel = compiled(text(traced, learnable, DTYPES[x.dtype], (c.shared, b.shared)), "backward", kinds, DTYPES[x.dtype])
        arrays = [x, *kept, gy, *gs, gx, *sums, *c.laid_out(place.period), *b.laid_out(place.period)]
        return kernel((place.total, *x.shape, len(kept[0]), every, *place[:4]), arrays)


def _kinds(*groups: tuple[Sequence[str], str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, kind) for names, kind in groups for name in names)
