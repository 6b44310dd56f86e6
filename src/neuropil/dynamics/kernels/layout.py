"""How a sequence lies in memory for a kernel: states kept for the way back, neurons cut into pieces, coefficients beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neuropil.dynamics.kernels.trace import Side

CACHE = 1 << 20
"""Bytes: states computed again for one piece of neurons take about so much, a usual second-level cache."""
_NARROW, _WIDE = 256, 16384
"""Neurons in a piece, at least and at most: in wider ones the processor reads ahead through longer rows."""
DTYPES = {torch.float32: "float32", torch.float64: "float64"}


def every(moments: int, fields: int, size: int, store: str, cached: bool = True) -> int:
    """Keep the state before every so many moments: each, or a root's share, or fewer where those of the widest piece can be computed again within the cache."""
    if store == "state":
        return 1
    root = math.isqrt(moments - 1) + 1
    return min(max(root, CACHE // (fields * size * _WIDE)), moments) if cached else root


class Place(NamedTuple):
    """How flat neurons are cut, ``span`` of each replica: into ``period``s of whole rows, each of ``pieces``, each ``width`` wide; ``total`` pieces in all."""

    span: int
    period: int
    pieces: int
    width: int
    total: int

    @classmethod
    def of(cls, flat: int, features: int, *, replicas: int = 1, bytes_each: int = 0) -> Place:
        """Pieces whose neurons, of ``bytes_each``, fit the cache, and enough of them for all threads."""
        fitting = min(CACHE // bytes_each if bytes_each else _WIDE, flat // (2 * torch.get_num_threads()), _WIDE)
        wanted, span = max(fitting, _NARROW), flat // replicas
        if features >= wanted:
            pieces = -(-features // wanted)
            return cls(span, features, pieces, -(-features // pieces), flat // features * pieces)
        period = max(min(features * (wanted // features), span), 1)
        return cls(span, period, 1, period, replicas * -(-span // period))


class Coefficients(NamedTuple):
    """The values that one side of an equation reads: ``values`` [replicas, 1 or N]; ``shared``: which are one for all neurons."""

    values: tuple[Tensor, ...]
    shared: tuple[bool, ...]

    @classmethod
    def of(cls, side: Side, own: Mapping[str, Tensor], dtype: torch.dtype, replicas: int) -> Coefficients:
        """Compute them in torch from a cell's own tensors, [] or [N], behind an axis of replicas where there are any."""
        rows = {f"own.{name}": (tensor.detach() if replicas else tensor.detach().unsqueeze(0)) for name, tensor in own.items()}
        rows = {name: tensor.unsqueeze(-1) if tensor.ndim == 1 else tensor for name, tensor in rows.items()}
        values = tuple(value.to(dtype) for value in side.program.evaluate(side.coefficients, rows))
        return cls(values, tuple(value.shape[-1] == 1 for value in values))

    def laid_out(self, period: int) -> list[Tensor]:
        """One number a replica, or a ``period`` of them."""
        return [
            (value if common else value.repeat(1, period // value.shape[-1])).reshape(-1).contiguous()
            for value, common in zip(self.values, self.shared, strict=True)
        ]


def flat(tensor: Tensor, dtype: torch.dtype, rows: int | None = None) -> Tensor:
    """The same numbers as [M], or [rows, M], one after another in memory."""
    return tensor.detach().to(dtype).reshape(-1 if rows is None else (rows, -1 if tensor.numel() else 0)).contiguous()


def empty(shape: tuple[int, ...] | torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory; on the CPU from NumPy, which asks Linux for huge pages: first touching a large array costs many times its kernel without."""
    return torch.from_numpy(np.empty(shape, DTYPES[dtype])) if device.type == "cpu" else torch.empty(shape, dtype=dtype, device=device)
