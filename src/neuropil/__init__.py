"""neuropil: mechanisms from the brain as tested PyTorch parts, and honest small-scale tests of what they do.

Families are imported on first use (``neuropil.plasticity``, ``neuropil.atlas``, ...); ``import neuropil`` alone loads no torch.
"""

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

FAMILIES = (
    "agents",
    "atlas",
    "cells",
    "continual",
    "data",
    "dynamics",
    "exchange",
    "geometry",
    "growth",
    "interpret",
    "learning",
    "memory",
    "networks",
    "observe",
    "plasticity",
    "synapses",
    "testing",
)


def __getattr__(name: str) -> ModuleType:
    if name in FAMILIES:
        return import_module(f"neuropil.{name}")
    raise AttributeError(f"module 'neuropil' has no attribute {name!r}; its families are {', '.join(FAMILIES)}")


def __dir__() -> list[str]:
    return ["__version__", *FAMILIES]
