"""Scenes of coloured tetrominoes with the object of every pixel: the smallest test of whether something groups parts into wholes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neuropil.data.checks import whole

COLOURS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.0, 1.0, 1.0))
"""Red, green, blue, yellow, magenta, cyan."""
_ONE_SIDED = ("####", "##|##", "###|.#.", ".##|##.", "##.|.##", "#..|###", "..#|###")


def tetromino_shapes() -> tuple[np.ndarray, ...]:
    """All 19 shapes of four squares joined by their sides, as boolean arrays [H, W]: seven tetrominoes in every orientation that differs."""
    shapes: dict[tuple[tuple[int, ...], bytes], np.ndarray] = {}
    for text in _ONE_SIDED:
        shape = np.array([[mark == "#" for mark in row] for row in text.split("|")])
        for turns in range(4):
            turned = np.rot90(shape, turns).copy()
            shapes[turned.shape, turned.tobytes()] = turned
    return tuple(shapes.values())


def tetromino_scenes(
    count: int, generator: np.random.Generator, *, size: int = 32, block: int = 5, objects: int = 3, distinct: bool = False
) -> tuple[Tensor, Tensor]:
    """Draw scenes of ``objects`` tetrominoes on black, anywhere inside the picture, none on another.

    Returns pictures f32 [count, 3, size, size] from 0 to 1 and objects i64 [count, size, size], 0 the ground, 1, 2, ... the tetrominoes. A square has sides of ``block`` pixels;
    shapes (of 19) and colours (of 6) are equally likely and independent, so that two objects may have one colour, unless ``distinct``. Objects may touch. Scenes after tetrominoes2019, drawn here anew: 32 pixels of their 35, and two orientations more.
    Raises ``ValueError`` where an object cannot fit, or for more distinct colours than six.
    """
    whole("count", count, 0)
    whole("objects", objects, 1)
    if whole("block", block, 1) * 4 > whole("size", size, 1):
        raise ValueError(f"A bar of four squares of {block} pixels needs a size of {4 * block}, {size} was given.")
    if distinct and objects > len(COLOURS):
        raise ValueError(f"There are {len(COLOURS)} colours, {objects} distinct ones were asked for.")
    shapes = [np.kron(shape, np.ones((block, block), bool)) for shape in tetromino_shapes()]
    labels = np.stack([_scene(shapes, size, objects, generator) for _ in range(count)]) if count else np.zeros((0, size, size), np.int64)
    order = generator.random((count, len(COLOURS))).argsort(1) if distinct else generator.integers(len(COLOURS), size=(count, objects))
    palette = np.zeros((count, objects + 1, 3), np.float32)
    palette[:, 1:] = np.asarray(COLOURS, np.float32)[order[:, :objects]]
    images = palette[np.arange(count)[:, None, None], labels].transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels)


def _scene(shapes: list[np.ndarray], size: int, objects: int, generator: np.random.Generator) -> np.ndarray:
    """Objects of one scene [size, size]; begun anew where one of them finds no room in 20 tries."""
    while True:
        labels = np.zeros((size, size), np.int64)
        for number in range(1, objects + 1):
            shape = shapes[generator.integers(len(shapes))]
            rows, columns = generator.integers(0, np.array([size + 1, size + 1]) - shape.shape, size=(20, 2)).T
            for row, column in zip(rows, columns, strict=True):
                place = labels[row : row + shape.shape[0], column : column + shape.shape[1]]
                if not place[shape].any():
                    place[shape] = number
                    break
            else:
                break
        else:
            return labels
