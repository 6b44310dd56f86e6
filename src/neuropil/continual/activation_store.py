"""A store of hidden activations of a few examples a class, a byte a number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class ActivationStore:
    """Activations by class, rounded to 256 levels: ``q = round(255 (x - low) / (high - low))``, ``low`` and ``high`` the least and the greatest number of that class; ``x_hat = low + q (high - low) / 255``.

    ``put(label, x)`` keeps x [n, ...] of one class in place of what was kept of it; ``forget(label)`` drops a class; ``store[label]`` gives x_hat [n, ...].
    ``draw(n, labels)`` gives x_hat [n, ...] and labels i64 [n], as many of each class as n allows (the first classes have one more), different ones where the class has enough and drawn with
    replacement where it has not. ``labels``: the classes held, in the order in which they came; ``bytes``: one a number and 8 a class for low and high.
    Random choices come from ``generator`` (None: torch's own). Raises ``ValueError`` for no activations or numbers that are not finite, a class that is not held, and no classes to draw from.
    Source: gurbuz2023, where all classes are kept and only those of the last episodes are read.
    """

    def __init__(self, *, generator: torch.Generator | None = None) -> None:
        self.generator = generator
        self._held: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def labels(self) -> list[int]:
        """The classes held."""
        return list(self._held)

    @property
    def bytes(self) -> int:
        """What all that is held takes."""
        return sum(codes.numel() + 8 for codes, _, _ in self._held.values())

    def put(self, label: int, x: Tensor) -> None:
        """Keep the activations of a class."""
        if x.ndim < 2 or not x.numel() or not bool(x.isfinite().all()):
            raise ValueError(f"put takes finite activations [n, ...] of one example or more, {list(x.shape)} was given for class {label}.")
        low, high = x.detach().amin(), x.detach().amax()
        width = torch.where(high > low, high - low, 1.0)
        self._held[label] = ((x.detach() - low) / width * 255).round().to(torch.uint8), low, width

    def forget(self, label: int) -> None:
        """Drop a class."""
        self._known(label)
        del self._held[label]

    def __getitem__(self, label: int) -> Tensor:
        """The activations of a class, as they are read."""
        self._known(label)
        codes, low, width = self._held[label]
        return low + codes.to(low) * (width / 255)

    def draw(self, n: int, labels: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Draw activations of these classes in equal numbers."""
        if not labels or n < 1:
            raise ValueError(f"draw gives one activation or more of one class or more, {n} of {list(labels)} was asked for.")
        each, more = divmod(n, len(labels))
        parts = []
        for k, label in enumerate(labels):
            kept, number = self[label], each + (k < more)
            if number <= len(kept):
                chosen = torch.randperm(len(kept), generator=self.generator)[:number]
            else:
                chosen = torch.randint(len(kept), (number,), generator=self.generator)
            parts.append((kept[chosen], torch.full((number,), label, dtype=torch.long)))
        return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])

    def _known(self, label: int) -> None:
        if label not in self._held:
            raise ValueError(f"Nothing of class {label} is held; held are {self.labels or 'none'}.")
