"""A bench: makes small instances of a part, inputs that excite it, and runs it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell
from neuropil.dynamics.registry import Part

DRIVES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


def is_cell(part: Part) -> bool:
    """Whether the part is a ``Cell``, with state in and state out."""
    return isinstance(part.make, type) and issubclass(part.make, Cell)


def is_elementwise(part: Part) -> bool:
    """Whether the part is a cell that states its equation as ``update``."""
    return isinstance(part.make, type) and issubclass(part.make, Cell) and part.make.update is not Cell.update


class Bench:
    """Drives one part: ``make`` an instance, ``x`` and ``along`` its inputs, ``run`` it.

    ``features``: the shape of one moment; ``spikes``: whether it emits spikes; ``drive``: how strong an input makes it fire now and then.
    Raises ``AssertionError`` for a spiking part that no input from 0.3 to 300 makes fire in 3 to 80 % of moments.
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        self.is_cell, self.elementwise = is_cell(part), is_elementwise(part)
        probe = self.make()
        self.spikes = getattr(probe, "emits", "") == "spikes"
        self.features: tuple[int, ...] = part.features or (probe.size,)

    def make(self, seed: int = 0, **changed: Any) -> Any:
        """Make a small instance under this seed, arguments named here changed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.part.small(**changed)

    @cached_property
    def drive(self) -> float:
        """The scale of the inputs."""
        if not self.spikes:
            return 1.0
        for drive in DRIVES:
            if 0.03 < float(self.run(self.make(), drive * self._noise((40, 3), 9, torch.float32))[0].detach().mean()) < 0.8:
                return drive
        raise AssertionError(
            f"{self.part.name} emits spikes, and no input from {DRIVES[0]:g} to {DRIVES[-1]:g} made it fire now and then; "
            "give an example= whose threshold such inputs reach."
        )

    def x(self, *lead: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw inputs [*lead, *features], uniform from 0 to ``drive``."""
        return self.drive * self._noise(lead, seed, dtype)

    def along(self, x: Tensor) -> dict[str, Tensor]:
        """Draw further inputs that fit ``x`` [T, ..., N]."""
        generator = torch.Generator().manual_seed(5)
        lead = x.shape[: -len(self.features)]
        return {
            name: torch.rand(*lead, n, generator=generator, dtype=torch.float64).to(x.dtype).to(x.device)
            for name, n in self.part.along.items()
        }

    def run(self, instance: Any, x: Tensor, s: Any = None, **along: Tensor) -> tuple[Tensor, Any]:
        """Run a sequence: ``(y, state)``, ``state`` None for parts without one."""
        return instance(x, s, **along) if isinstance(instance, Cell) else (instance(x), None)

    def tensors(self, instance: nn.Module) -> dict[str, Tensor]:
        """Name the parameters and floating buffers."""
        return {name: t for name, t in (*instance.named_parameters(), *instance.named_buffers()) if t.is_floating_point()}

    def _noise(self, lead: tuple[int, ...], seed: int, dtype: torch.dtype) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(*lead, *self.features, generator=generator, dtype=torch.float64).to(dtype)
