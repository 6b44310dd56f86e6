"""A memory of examples with a fixed number of places, filled by reservoir sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class ReplayBuffer(nn.Module):
    """Reservoir: after n examples each of them is held with probability ``capacity / n``, whatever the order they came in.

    Example n (from 1) takes place n while there is room; later it takes the place of a random one with probability ``capacity / n``.
    ``add(*parts)`` takes tensors [B, ...] of one length, alike from call to call; ``draw(n)`` gives ``n`` different examples, or all there are.
    Buffers: ``part0``, ``part1``, ... [capacity, ...], made at the first ``add``; ``seen`` i64 []. Random choices come from ``generator`` (None: torch's own).
    Source: vitter1985. Raises ``ValueError`` for a capacity below 0, parts of unequal length or of another shape, and a draw from nothing.
    """

    seen: Tensor

    def __init__(self, capacity: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if capacity < 0:
            raise ValueError(f"capacity of a ReplayBuffer is a number of examples from 0 up, {capacity} was given.")
        self.capacity, self.generator = capacity, generator
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return min(int(self.seen), self.capacity)

    @property
    def parts(self) -> list[Tensor]:
        """What is held: tensors [len, ...], as ``add`` got them."""
        return [held[: len(self)] for name, held in self.named_buffers() if name != "seen"]

    @torch.no_grad()
    def add(self, *parts: Tensor) -> None:
        """Offer examples to the reservoir."""
        if not parts or len({len(part) for part in parts}) != 1:
            raise ValueError(f"ReplayBuffer.add takes tensors of one length, lengths {[len(part) for part in parts]} were given.")
        if not any(name != "seen" for name, _ in self.named_buffers()):
            for k, part in enumerate(parts):
                self.register_buffer(f"part{k}", part.new_zeros(self.capacity, *part.shape[1:]))
        held = [tensor for name, tensor in self.named_buffers() if name != "seen"]
        if len(held) != len(parts) or any(a.shape[1:] != b.shape[1:] for a, b in zip(held, parts, strict=True)):
            raise ValueError(
                f"This ReplayBuffer holds examples of shapes {[list(part.shape[1:]) for part in held]}, {[list(part.shape[1:]) for part in parts]} were given."
            )
        seen = int(self.seen)
        chance = torch.rand(len(parts[0]), generator=self.generator, dtype=torch.float64)
        source: dict[int, int] = {}
        for k, share in enumerate(chance.tolist()):
            place = seen + k if seen + k < self.capacity else int(share * (seen + k + 1))
            if place < self.capacity:
                source[place] = k
        places, rows = torch.tensor(list(source), dtype=torch.long), torch.tensor(list(source.values()), dtype=torch.long)
        for tensor, part in zip(held, parts, strict=True):
            tensor[places] = part[rows].to(tensor)
        self.seen += len(parts[0])

    def draw(self, n: int) -> list[Tensor]:
        """Draw ``n`` different examples at random, all if fewer are held."""
        if not len(self) or n < 1:
            raise ValueError(f"ReplayBuffer.draw gives 1 to {len(self)} examples, {n} were asked for; add some first.")
        chosen = torch.randperm(len(self), generator=self.generator)[:n]
        return [part[chosen.to(part.device)] for part in self.parts]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        held: Sequence[str] = [name for name in state_dict if name.startswith(f"{prefix}part")]
        for name in held:
            self.register_buffer(name.removeprefix(prefix), torch.zeros_like(state_dict[name]))
        super()._load_from_state_dict(state_dict, prefix, *rest)
