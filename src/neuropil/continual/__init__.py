"""Continual learning: one strategy against forgetting a file, the loop they run in, and summaries of the accuracy matrix."""

from neuropil.continual.activation_store import ActivationStore
from neuropil.continual.agem import AGEM
from neuropil.continual.attention_noise import attention_noise
from neuropil.continual.class_balanced_store import ClassBalancedStore
from neuropil.continual.class_means import NearestMean, StreamingLDA
from neuropil.continual.dark_experience_replay import DarkExperienceReplay
from neuropil.continual.ewc import EWC, Fisher
from neuropil.continual.experience_replay import ExperienceReplay
from neuropil.continual.fast_slow_weights import FastSlowWeights
from neuropil.continual.feature_mixup import feature_mixup
from neuropil.continual.feature_translation import PseudoFeatures, translate_features
from neuropil.continual.fine_tuning import FineTuning
from neuropil.continual.gradient_projection import GradientProjection, Subspace, principal_subspace, random_rows, subspace_overlap
from neuropil.continual.hebbian_subspace import HebbianSubspace
from neuropil.continual.joint import Joint
from neuropil.continual.learn import Course, as_batch, learn
from neuropil.continual.lwf import LwF
from neuropil.continual.masked_neighbours import MaskedNeighbours
from neuropil.continual.metrics import ContinualMetrics, continual_metrics
from neuropil.continual.module_sensitivity import ModuleSensitivity, modules_within
from neuropil.continual.product_quantizer import ProductQuantizer
from neuropil.continual.recency_rehearsal import RecencyRehearsal, Since, exponential_law, power_law
from neuropil.continual.replay_buffer import ReplayBuffer
from neuropil.continual.scenario import Boundaries, Scenario
from neuropil.continual.selective_fine_tuning import fine_tune_modules
from neuropil.continual.stochastic_copy import StochasticCopy
from neuropil.continual.strategy import STRATEGIES, Strategy
from neuropil.continual.synaptic_intelligence import SynapticIntelligence
from neuropil.continual.unit_ages import UnitAges, leading_units

__all__ = [
    "AGEM",
    "EWC",
    "STRATEGIES",
    "ActivationStore",
    "Boundaries",
    "ClassBalancedStore",
    "ContinualMetrics",
    "Course",
    "DarkExperienceReplay",
    "ExperienceReplay",
    "FastSlowWeights",
    "FineTuning",
    "Fisher",
    "GradientProjection",
    "HebbianSubspace",
    "Joint",
    "LwF",
    "MaskedNeighbours",
    "ModuleSensitivity",
    "NearestMean",
    "ProductQuantizer",
    "PseudoFeatures",
    "RecencyRehearsal",
    "ReplayBuffer",
    "Scenario",
    "Since",
    "StochasticCopy",
    "Strategy",
    "StreamingLDA",
    "Subspace",
    "SynapticIntelligence",
    "UnitAges",
    "as_batch",
    "attention_noise",
    "continual_metrics",
    "exponential_law",
    "feature_mixup",
    "fine_tune_modules",
    "leading_units",
    "learn",
    "modules_within",
    "power_law",
    "principal_subspace",
    "random_rows",
    "subspace_overlap",
    "translate_features",
]
