"""What every conformance test gets: each registered part once, and a bench that drives it.

Registered by import: ours below, yours with ``pytest -p your_package tests/conformance -k YourCell``.
"""

import pytest
import torch

import neuropil.cells
import neuropil.exchange
import neuropil.plasticity
import neuropil.synapses  # noqa: F401
from neuropil.dynamics import Cell
from neuropil.dynamics.registry import CELLS, RULES, SYNAPSES


class Bench:
    """Makes small instances of a part, inputs that excite it, and runs it."""

    def __init__(self, part):
        self.part = part
        probe = self.make()
        self.is_cell = isinstance(probe, Cell)
        self.elementwise = WANTED["pointwise_bench"](part)
        self.spikes = getattr(probe, "emits", "") == "spikes"
        self.features = part.features or (probe.size,)
        self.drive = self.find_drive(probe)

    def make(self, seed=0, **changed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.part.small(**changed)

    def find_drive(self, probe):
        """How strong an input makes a spiking part fire now and then."""
        if not self.spikes:
            return 1.0
        self.drive = 1.0
        for drive in (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0):
            share = float(self.run(probe, drive * self.x(40, 3, seed=9))[0].detach().mean())
            if 0.03 < share < 0.8:
                return drive
        raise AssertionError(f"{self.part.name} emits spikes but no input from 0.3 to 300 made it fire now and then")

    def x(self, *lead, seed=1, dtype=torch.float32):
        noise = torch.rand(*lead, *self.features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return (self.drive * noise).to(dtype) if self.spikes else noise.to(dtype)

    def along(self, x):
        """Further inputs that fit ``x`` [T, ..., N]."""
        generator = torch.Generator().manual_seed(5)
        lead = x.shape[: -len(self.features)]
        return {
            name: torch.rand(*lead, n, generator=generator, dtype=torch.float64).to(x.dtype).to(x.device)
            for name, n in self.part.along.items()
        }

    def run(self, instance, x, s=None, **along):
        """``(y, state)`` of a sequence, ``state`` None for parts without one."""
        return instance(x, s, **along) if isinstance(instance, Cell) else (instance(x), None)

    def tensors(self, instance):
        """Parameters and floating buffers by name."""
        return {name: t for name, t in (*instance.named_parameters(), *instance.named_buffers()) if t.is_floating_point()}


def is_cell(part):
    return isinstance(part.make, type) and issubclass(part.make, Cell)


WANTED = {
    "bench": lambda part: True,
    "cell_bench": is_cell,
    "pointwise_bench": lambda part: is_cell(part) and part.make.update is not Cell.update,
}


def pytest_generate_tests(metafunc):
    for name, chosen in WANTED.items():
        if name in metafunc.fixturenames:
            parts = [part for registry in (CELLS, SYNAPSES, RULES) for part in registry if chosen(part)]
            metafunc.parametrize(name, parts, ids=[part.name for part in parts], indirect=True)


@pytest.fixture
def bench(request):
    return Bench(request.param)


@pytest.fixture
def cell_bench(request):
    return Bench(request.param)


@pytest.fixture
def pointwise_bench(request):
    return Bench(request.param)
