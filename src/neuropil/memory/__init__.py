"""Memories: written in one presentation, read by content or position; one memory a file."""

from neuropil.memory.fast_weights import FastWeights, RelevanceGate
from neuropil.memory.protocol import Memory
from neuropil.memory.spiking_cam import SpikingCAM
from neuropil.memory.willshaw import WillshawMemory

__all__ = ["FastWeights", "Memory", "RelevanceGate", "SpikingCAM", "WillshawMemory"]
