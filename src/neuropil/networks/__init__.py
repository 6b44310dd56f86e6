"""Canonical backbones: one version of each, for every study."""

from neuropil.networks.adaptive_halting import AdaptiveHalting, Halting, bhattacharyya, expected_hops, halting_loss, halts
from neuropil.networks.attention_only import AttentionOnlyTransformer
from neuropil.networks.batch_norm_conv_net import BatchNormConvNet
from neuropil.networks.batch_norm_mlp import BatchNormMLP
from neuropil.networks.conv_net import ConvNet
from neuropil.networks.decision_transformer import DecisionTransformer
from neuropil.networks.disinhibitory_net import DisinhibitoryNet
from neuropil.networks.efficientnet_lite import EfficientNetLite0
from neuropil.networks.fast_lstm import FastLSTM
from neuropil.networks.fast_slow_memory_network import FastSlowMemoryNetwork
from neuropil.networks.fast_weight_transformer import FastWeightTransformer
from neuropil.networks.flux_netlist import FluxNetlist
from neuropil.networks.fusion_net import FusionNet
from neuropil.networks.gain_control import GainModulatedCircuit, adapt_gains, coding_loss
from neuropil.networks.hd_snn import HDSNN, most_evident
from neuropil.networks.izhikevich_reservoir import izhikevich_reservoir, synaptic_traces
from neuropil.networks.josephson_circuit import JosephsonCircuit
from neuropil.networks.kuramoto_layer import KuramotoLayer
from neuropil.networks.legendre import LegendreMemoryUnit
from neuropil.networks.liquid import Liquid, lattice_wiring
from neuropil.networks.lstm_controller import LSTMController
from neuropil.networks.memo import MEMO, Hops
from neuropil.networks.mlp import MLP
from neuropil.networks.multi_head import MultiHead
from neuropil.networks.neural_memory_transformer import NeuralMemoryTransformer, Remembered
from neuropil.networks.neural_turing_machine import NeuralTuringMachine
from neuropil.networks.oscillator_readout import OscillatorReadout
from neuropil.networks.reservoir import Reservoir
from neuropil.networks.sensory_set import SensorySet, SensoryState
from neuropil.networks.settle import settle_inhibition
from neuropil.networks.slot_memory_transformer import SlotMemoryTransformer
from neuropil.networks.spiking_legendre import SpikingLegendreMemoryUnit
from neuropil.networks.spiking_net import SpikingNet
from neuropil.networks.transformer import Transformer
from neuropil.networks.vision_transformer import TokenClassifier, TokenEncoder, VisionTransformer
from neuropil.networks.word_learner import WordChoice, WordLearner

__all__ = [
    "HDSNN",
    "MEMO",
    "MLP",
    "AdaptiveHalting",
    "AttentionOnlyTransformer",
    "BatchNormConvNet",
    "BatchNormMLP",
    "ConvNet",
    "DecisionTransformer",
    "DisinhibitoryNet",
    "EfficientNetLite0",
    "FastLSTM",
    "FastSlowMemoryNetwork",
    "FastWeightTransformer",
    "FluxNetlist",
    "FusionNet",
    "GainModulatedCircuit",
    "Halting",
    "Hops",
    "JosephsonCircuit",
    "KuramotoLayer",
    "LSTMController",
    "LegendreMemoryUnit",
    "Liquid",
    "MultiHead",
    "NeuralMemoryTransformer",
    "NeuralTuringMachine",
    "OscillatorReadout",
    "Remembered",
    "Reservoir",
    "SensorySet",
    "SensoryState",
    "SlotMemoryTransformer",
    "SpikingLegendreMemoryUnit",
    "SpikingNet",
    "TokenClassifier",
    "TokenEncoder",
    "Transformer",
    "VisionTransformer",
    "WordChoice",
    "WordLearner",
    "adapt_gains",
    "bhattacharyya",
    "coding_loss",
    "expected_hops",
    "halting_loss",
    "halts",
    "izhikevich_reservoir",
    "lattice_wiring",
    "most_evident",
    "settle_inhibition",
    "synaptic_traces",
]
