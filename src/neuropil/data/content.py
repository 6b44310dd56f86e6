"""A loaded data set, and the one digest by which two copies of it count as the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class DataError(Exception):
    """A data set is not here, is not what it should be, or cannot be stored; the message says what to do."""


@dataclass(frozen=True)
class Data:
    """Named arrays with their checksum, origin, licence and reference: ``load("mnist").train_images``.

    ``sha256`` is ``digest(name)``; ``source`` says where this copy was found; ``cites`` is a key of ``references.bib`` or empty.
    """

    name: str
    arrays: Mapping[str, Array]
    sha256: str
    source: str
    licence: str
    cites: str

    def __post_init__(self) -> None:
        if taken := set(self.arrays) & set(self.__dataclass_fields__):
            raise ValueError(f"An array of a data set cannot be called {', '.join(sorted(taken))}, which is a field of Data; rename it.")
        object.__setattr__(self, "arrays", MappingProxyType(dict(self.arrays)))

    def __getattr__(self, key: str) -> Array:
        arrays: Mapping[str, Array] = object.__getattribute__(self, "__dict__").get("arrays", {})
        if key in arrays:
            return arrays[key]
        raise AttributeError(f"The data set has no array {key!r}; it has {', '.join(arrays) or 'none'}.")

    def __getitem__(self, key: str) -> Array:
        return self.arrays[key]

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in self.arrays.items())
        return f"Data({self.name}: {shapes}; from {self.source})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Data, (self.name, dict(self.arrays), self.sha256, self.source, self.licence, self.cites))


def content_digest(arrays: Mapping[str, Array]) -> str:
    """Digest named arrays: SHA-256 over ``name dtype shape`` and the little-endian C-ordered bytes of each, in order of name.

    Two files that hold equal arrays under equal names have one digest, whatever their container and compression.
    """
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if array.dtype.hasobject:
            raise TypeError(f"The array {name!r} holds Python objects, which have no canonical bytes; store numbers or fixed-width text.")
        little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        shape = ",".join(str(length) for length in little.shape)
        total.update(f"{name} {little.dtype.str} [{shape}]\n".encode())
        total.update(little.tobytes())
    return total.hexdigest()
