"""Data copying: whether a generator recites its training set, told by how near its samples lie to it."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest_distance(x: Tensor, reference: Tensor, *, itself: bool = False) -> tuple[Tensor, Tensor]:
    """Distance f [S] to the nearest row of ``reference`` [R, D], and its index i64 [S]; ``itself``: x is the reference, and a row is no neighbour of itself."""
    far = torch.cdist(x, reference, compute_mode="donot_use_mm_for_euclid_dist")
    if itself:
        far = far.masked_fill(torch.eye(len(x), dtype=torch.bool), float("inf"))
    near = far.min(1)
    return near.values, near.indices


def data_copying(generated: Tensor, held_out: Tensor, train: Tensor, *, centres: Tensor | None = None, least: float = 0.0) -> float:
    """The statistic C_T: are generated samples nearer to the training set than fresh data are? Far below 0 they copy, far above 0 they stay away from the data.

    Equation: in each cell of space, ``U`` counts the pairs in which the generated sample is farther than the held-out one from the training points of the cell (ties half), ``z = (U - m n / 2) / sqrt(m n (m + n + 1) / 12)``;
    ``C_T = sum_c P(c) z_c / sum_c P(c)``, ``P(c)`` the share of held-out data in a cell. Where samples are distributed as fresh data, ``z`` of one cell is standard normal; where all are training points it is at its floor, ``-sqrt(3 m n / (m + n + 1))``.

    ``generated`` [m, D], ``held_out`` [n, D], ``train`` [t, D]; ``centres`` [C, D]: rows fall into the cell of the nearest one (``None``: one cell). Cells that hold a share of at most ``least`` of the generated samples are left out.
    Raises ``ValueError`` for shapes that do not fit, and where a cell in use lacks training or held-out data. Source: meehan2020; differs from the authors' code in that no half is added for continuity.
    """
    _check(generated, held_out, train)
    places = [
        torch.zeros(len(x), dtype=torch.long) if centres is None else nearest_distance(x, centres)[1] for x in (generated, held_out, train)
    ]
    total, weight = 0.0, 0.0
    for cell in range(1 if centres is None else len(centres)):
        g, h, t = (x[place == cell] for x, place in zip((generated, held_out, train), places, strict=True))
        if len(g) <= least * len(generated):
            continue
        if not len(h) or not len(t):
            raise ValueError(f"Cell {cell} of data_copying holds {len(h)} held-out and {len(t)} training points; give fewer centres.")
        a, b = nearest_distance(g, t)[0].unsqueeze(1), nearest_distance(h, t)[0]
        u = float((a > b).double().sum() + 0.5 * (a == b).double().sum())
        m, n = len(g), len(h)
        total += n * (u - m * n / 2) / (m * n * (m + n + 1) / 12) ** 0.5
        weight += n
    if not weight:
        raise ValueError(f"No cell of data_copying holds more than {least} of the generated samples; lower least.")
    return total / weight


def authenticity(generated: Tensor, train: Tensor) -> float:
    """The share of samples that lie farther from their nearest training point than that point from its own nearest neighbour: 0 for copies, about 1/2 for fresh data.

    ``generated`` [m, D], ``train`` [t, D]. Raises ``ValueError`` for shapes that do not fit. Source: alaa2022.
    """
    _check(generated, train)
    far, nearest = nearest_distance(generated, train)
    return float((far > nearest_distance(train, train, itself=True)[0][nearest]).double().mean())


def _check(*sets: Tensor) -> None:
    if any(x.ndim != 2 or x.shape[1] != sets[0].shape[1] or not len(x) for x in sets):
        raise ValueError(f"Sets of samples are [S, D] with one D and S at least 1, {[list(x.shape) for x in sets]} were given.")
