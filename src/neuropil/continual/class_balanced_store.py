"""A store with a budget in bytes that makes room at the expense of the class it holds most of."""

from __future__ import annotations

import torch


class ClassBalancedStore:
    """Names of kept examples within ``capacity`` bytes: a new one always enters; while the store is over its budget, a random example of the most numerous class leaves.

    ``add(name, label, size)`` takes one example of ``size`` bytes (the new one may itself be the one to leave; of classes equally numerous the one that came first loses); ``draw(n)`` gives ``n`` different names at random, all if fewer are held.
    ``names``: those held, in no order; ``used``: their bytes; ``counts``: how many of each class. Random choices come from ``generator`` (None: torch's own). Source: hayes2020, where all sizes are equal.
    Raises ``ValueError`` for a capacity below 0, a size below 1, a name that is held already, and a draw from nothing.
    """

    def __init__(self, capacity: int, *, generator: torch.Generator | None = None) -> None:
        if capacity < 0:
            raise ValueError(f"capacity of a ClassBalancedStore is a number of bytes from 0 up, {capacity} was given.")
        self.capacity, self.generator, self.used = capacity, generator, 0
        self._classes: dict[int, list[int]] = {}
        self._sizes: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def names(self) -> list[int]:
        """The names of what is held."""
        return list(self._sizes)

    @property
    def counts(self) -> dict[int, int]:
        """How many examples of each class are held."""
        return {label: len(own) for label, own in self._classes.items()}

    def add(self, name: int, label: int, size: int) -> None:
        """Take in an example and make room for it."""
        if name in self._sizes:
            raise ValueError(f"Example {name} is held already; give each its own name.")
        if size < 1:
            raise ValueError(f"The size of an example is a number of bytes from 1 up, {size} was given.")
        self._classes.setdefault(label, []).append(name)
        self._sizes[name] = size
        self.used += size
        while self.used > self.capacity:
            most = max(self._classes.values(), key=len)
            gone = int(torch.randint(len(most), (), generator=self.generator))
            most[gone], most[-1] = most[-1], most[gone]
            self.used -= self._sizes.pop(most.pop())

    def draw(self, n: int) -> list[int]:
        """Draw ``n`` different names."""
        if not len(self) or n < 1:
            raise ValueError(f"draw gives 1 to {len(self)} names, {n} were asked for; add some first.")
        held = self.names
        return [held[k] for k in torch.randperm(len(held), generator=self.generator)[:n].tolist()]
