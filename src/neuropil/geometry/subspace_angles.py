"""Principal angles: how two subspaces lie to each other, from 0 (a shared direction) to a right angle (nothing in common)."""

import torch
from torch import Tensor


def subspace_angles(a: Tensor, b: Tensor) -> Tensor:
    """Return the principal angles between the spaces spanned by the rows of ``a`` and of ``b``, in radians, the smallest first.

    Equation: with orthonormal bases ``A``, ``B``: ``cos theta_i`` is the i-th singular value of ``A B'``; angles under 45 degrees are read from the sines, the singular values of ``B - B A' A``, which are exact where cosines round to 1.
    Shapes: a [..., K, N], b [..., L, N] -> [..., min(K, L)]; rows that depend on others span nothing and must be left out. Source: bjorck1973.
    Raises ``ValueError`` for shapes that do not fit and more rows than dimensions.
    """
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1] or max(a.shape[-2], b.shape[-2]) > a.shape[-1]:
        raise ValueError(
            f"subspace_angles takes a [..., K, N] and b [..., L, N] with K, L up to N, {list(a.shape)} and {list(b.shape)} were given."
        )
    if a.shape[-2] < b.shape[-2]:
        a, b = b, a
    wide, narrow = torch.linalg.qr(a.mT)[0], torch.linalg.qr(b.mT)[0]
    shared = wide.mT @ narrow
    cosines = torch.linalg.svdvals(shared).clamp(max=1)
    sines = torch.linalg.svdvals(narrow - wide @ shared).clamp(max=1).flip(-1)
    return torch.where(cosines.square() >= 0.5, sines.asin(), cosines.acos())
