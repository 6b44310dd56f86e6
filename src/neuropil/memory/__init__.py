"""Memories: written in one presentation, read by content or position; one memory a file."""

from neuropil.memory.consolidated import ConsolidatedHebb
from neuropil.memory.fast_weights import FastWeights, RelevanceGate
from neuropil.memory.hopfield import Hopfield
from neuropil.memory.protocol import MEMORIES, AskedByContent, Bounded, Erasable, Memory, MemoryCost, memory_cost
from neuropil.memory.resonator import AttentionCleanup, ResonatorNetwork, ThresholdCleanup, projection_cleanup, random_codebooks
from neuropil.memory.spiking_cam import SpikingCAM
from neuropil.memory.willshaw import WillshawMemory

__all__ = [
    "MEMORIES",
    "AskedByContent",
    "AttentionCleanup",
    "Bounded",
    "ConsolidatedHebb",
    "Erasable",
    "FastWeights",
    "Hopfield",
    "Memory",
    "MemoryCost",
    "RelevanceGate",
    "ResonatorNetwork",
    "SpikingCAM",
    "ThresholdCleanup",
    "WillshawMemory",
    "memory_cost",
    "projection_cleanup",
    "random_codebooks",
]
