"""One number in, one independent random stream per axis out, so that arms can share their data and differ in nothing else.

Equation: ``axis_seed = first 63 bits of SHA-256(f"neuropil/{value}/{axis}")``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

from neuropil.atlas.errors import AtlasError

EXPLORATORY_LIMIT = 2**32
"""Seeds a person may type are below this; reporting seeds, derived from a registration's hash, all lie above."""
TUNING_FLOOR = 1000
"""Pilots and tuning use seeds from here up to the exploratory limit."""


@dataclass(frozen=True, order=True)
class Seed:
    """A seed of a study: the unit of replication, paired across arms.

    ``seed.data``, ``seed.init`` and ``seed.noise`` are independent 63-bit integers; any other axis is ``seed.axis("name")``.
    ``seed.torch("init")`` and ``seed.numpy("data")`` are fresh generators on that axis, the same at every call.
    """

    value: int

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 0:
            raise AtlasError(f"A seed is a whole number from 0 up, {self.value!r} was given; write for example 0 or 1000.")

    def axis(self, name: str) -> int:
        """Derive the 63-bit seed of the axis ``name``."""
        digest = hashlib.sha256(f"neuropil/{self.value}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    @property
    def data(self) -> int:
        """Which examples are drawn, how they are split, in which order they come."""
        return self.axis("data")

    @property
    def init(self) -> int:
        """The initial parameters."""
        return self.axis("init")

    @property
    def noise(self) -> int:
        """Whatever is random during learning and testing."""
        return self.axis("noise")

    def torch(self, axis: str, device: str = "cpu") -> torch.Generator:
        """Make a fresh ``torch.Generator`` on this axis."""
        import torch

        return torch.Generator(device).manual_seed(self.axis(axis))

    def numpy(self, axis: str) -> np.random.Generator:
        """Make a fresh ``numpy.random.Generator`` on this axis."""
        return np.random.default_rng(self.axis(axis))


def derive_seeds(registration_hash: str, n: int) -> list[int]:
    """Derive ``n`` distinct reporting seeds, all at or above 2**32, from a registration's hash."""
    seeds: list[int] = []
    index = 0
    while len(seeds) < n:
        digest = hashlib.sha256(f"{registration_hash}/{index}".encode()).digest()
        value = EXPLORATORY_LIMIT + int.from_bytes(digest[:6], "big")
        if value not in seeds:
            seeds.append(value)
        index += 1
    return seeds
