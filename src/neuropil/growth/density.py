"""How dense a network should be: over time, and layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def cubic_density(step: int, *, start: int, end: int, initial: float = 1.0, final: float) -> float:
    """Return the share of weights that gradual pruning leaves at ``step``: fast at first, while there is much to spare.

    Equation: ``d(t) = d_f + (d_i - d_f) (1 - (t - t_0) / (t_f - t_0))^3`` for ``t_0 <= t <= t_f``, ``d_i`` before, ``d_f`` after;
    ``start`` = t_0 and ``end`` = t_f in steps (where they are equal, all is pruned at once), densities are shares of weights.
    Raises ``ValueError`` unless ``0 < final <= initial <= 1`` and ``start <= end``. Source: zhu2017.
    """
    if not 0 < final <= initial <= 1:
        raise ValueError(
            f"Densities need 0 < final <= initial <= 1, initial={initial!r} and final={final!r} were given; pruning only thins."
        )
    if start > end:
        raise ValueError(f"Pruning ends at or after its start, start={start} and end={end} were given; swap them.")
    if step < start:
        return initial
    if step >= end:
        return final
    return final + (initial - final) * (1 - (step - start) / (end - start)) ** 3


def erk_densities(shapes: Mapping[str, Sequence[int]], density: float) -> dict[str, float]:
    """Share a density out over layers, Erdős-Rényi-kernel: thin where a layer is large.

    Equation: ``d_l = min(1, e sum(shape_l) / prod(shape_l))``, so for a matrix the weights kept are ``e (n_in + n_out)``, with one ``e`` such that
    the weights kept over all layers are the share ``density``. ``shapes`` maps names to shapes of weights (matrices, or kernels with their
    spatial sizes); returned is a density a name. Raises ``ValueError`` for no shapes, sizes below 1 and a density outside (0, 1].
    Source: mocanu2018 (matrices), evci2020 (kernels, and layers that would exceed 1).
    """
    if not 0 < density <= 1:
        raise ValueError(f"density is a share above 0 and at most 1, {density!r} was given; 0.1 keeps every tenth weight.")
    if not shapes or any(not shape or min(shape) < 1 for shape in shapes.values()):
        raise ValueError(
            f"ERK needs layers whose sizes are all 1 or more, {dict(shapes)} was given; give weights such as {{'w': (300, 784)}}."
        )
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    sums = {name: sum(shape) for name, shape in shapes.items()}
    full: set[str] = set()
    while True:
        wanted = density * sum(sizes.values()) - sum(sizes[name] for name in full)
        open_layers = [name for name in shapes if name not in full]
        scale = wanted / sum(sums[name] for name in open_layers) if open_layers else 0.0
        # Float rounding must not push a layer of exactly 1 into another round.
        over = {name for name in open_layers if scale * sums[name] > sizes[name] * (1 + 1e-12)}
        if not over:
            return {name: 1.0 if name in full else min(1.0, scale * sums[name] / sizes[name]) for name in shapes}
        full |= {max(over, key=lambda name: sums[name] / sizes[name])}
