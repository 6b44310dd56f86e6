"""Small operations on pictures."""

from __future__ import annotations

import numpy as np

from neuropil.data.content import Array


def pool(images: Array, size: int) -> Array:
    """Shrink pictures by averaging whole blocks: u8 [N, H, W] or [N, H, W, C] -> u8 [N, size, size] or [N, size, size, C].

    ``y[i, j] = round(mean of the block (H / size) x (W / size))``, halves to even. Raises ``ValueError`` unless ``size`` divides H and W.
    """
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(f"pool takes u8 pictures [N, H, W] or [N, H, W, C], {images.dtype} {list(images.shape)} was given.")
    n, height, width, *channels = images.shape
    if size < 1 or height % size or width % size:
        raise ValueError(f"pool needs a size that divides {height} x {width}, {size} was given; choose a common divisor.")
    blocks = images.reshape(n, size, height // size, size, width // size, *channels)
    pooled: Array = np.rint(blocks.mean((2, 4), dtype=np.float64)).astype(np.uint8)
    return pooled
