"""Memories: written in one presentation, read by content or position; one memory a file."""

from neuropil.memory.appended import AppendedMemory
from neuropil.memory.consolidated import ConsolidatedHebb
from neuropil.memory.dual_coding import DualCodingMemory, attend_nearest
from neuropil.memory.dual_coding_store import DualCodingStore
from neuropil.memory.fast_weights import FastWeights, RelevanceGate
from neuropil.memory.hopfield import Hopfield
from neuropil.memory.index_layer import IndexLayer
from neuropil.memory.item_separated_memory import ItemSeparatedMemory
from neuropil.memory.key_value import KeyValueMemory
from neuropil.memory.multitasking import (
    MultitaskingHebbian,
    diluted_patterns,
    hierarchical_overlaps,
    mean_field_overlaps,
    mean_field_step,
    noisy_examples,
    overlaps,
)
from neuropil.memory.neural_key_value import NeuralKeyValueMemory
from neuropil.memory.neural_memory import NeuralMemory
from neuropil.memory.neural_turing_machine import NeuralTuringMemory
from neuropil.memory.outer_product_memory import OuterProductMemory
from neuropil.memory.protocol import MEMORIES, AskedByContent, Bounded, Erasable, Memory, MemoryCost, memory_cost
from neuropil.memory.resonator import AttentionCleanup, ResonatorNetwork, ThresholdCleanup, projection_cleanup, random_codebooks
from neuropil.memory.slot_working_memory import SlotWorkingMemory
from neuropil.memory.sparsey import SparseyField
from neuropil.memory.sparsey_memory import SparseyMemory
from neuropil.memory.spiking_cam import SpikingCAM
from neuropil.memory.top_k_attention import TopKAttention, drawn_linear
from neuropil.memory.willshaw import WillshawMemory

__all__ = [
    "MEMORIES",
    "AppendedMemory",
    "AskedByContent",
    "AttentionCleanup",
    "Bounded",
    "ConsolidatedHebb",
    "DualCodingMemory",
    "DualCodingStore",
    "Erasable",
    "FastWeights",
    "Hopfield",
    "IndexLayer",
    "ItemSeparatedMemory",
    "KeyValueMemory",
    "Memory",
    "MemoryCost",
    "MultitaskingHebbian",
    "NeuralKeyValueMemory",
    "NeuralMemory",
    "NeuralTuringMemory",
    "OuterProductMemory",
    "RelevanceGate",
    "ResonatorNetwork",
    "SlotWorkingMemory",
    "SparseyField",
    "SparseyMemory",
    "SpikingCAM",
    "ThresholdCleanup",
    "TopKAttention",
    "WillshawMemory",
    "attend_nearest",
    "diluted_patterns",
    "drawn_linear",
    "hierarchical_overlaps",
    "mean_field_overlaps",
    "mean_field_step",
    "memory_cost",
    "noisy_examples",
    "overlaps",
    "projection_cleanup",
    "random_codebooks",
]
