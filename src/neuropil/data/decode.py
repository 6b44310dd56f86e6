"""Pictures decoded with Pillow (extra ``atlas``)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np

from neuropil.data.content import Array, DataError


def read_pictures(paths: Sequence[Path]) -> dict[str, Array]:
    """Read one picture a file, u8 [H, W] or [H, W, 3], under the file's own name."""
    image = _pillow()
    arrays: dict[str, Array] = {}
    for path in paths:
        with image.open(path) as picture:
            arrays[path.stem] = np.asarray(picture.convert("L" if picture.mode in ("L", "1") else "RGB"), np.uint8)
    return arrays


def decode_jpegs(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Turn ``*_jpeg`` and ``*_offsets`` into ``*_images`` u8 [N, H, W, 3], and keep what else there is."""
    image = _pillow()
    decoded: dict[str, Array] = {}
    for name, stream in arrays.items():
        if not name.endswith("_jpeg"):
            if not name.endswith("_offsets"):
                decoded[name] = stream
            continue
        split = name.removesuffix("_jpeg")
        raw, offsets = stream.tobytes(), arrays[f"{split}_offsets"].tolist()

        def one(i: int, raw: bytes = raw, offsets: Sequence[int] = offsets) -> Array:
            with image.open(io.BytesIO(raw[offsets[i] : offsets[i + 1]])) as picture:
                return np.asarray(picture.convert("RGB"), np.uint8)

        with ThreadPoolExecutor(2) as pool:
            decoded[f"{split}_images"] = np.stack(list(pool.map(one, range(len(offsets) - 1), chunksize=500)))
    return decoded


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise DataError('Pictures are decoded with Pillow, which is not installed; run pip install "neuropil[atlas]".') from None
    return Image
