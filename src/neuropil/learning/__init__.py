"""Ways of assigning credit, and the loop that applies them."""

from neuropil.learning.backprop import Backprop
from neuropil.learning.checkpoint import CheckpointError, load_checkpoint, restore, save_checkpoint
from neuropil.learning.contrastive import nt_xent
from neuropil.learning.disinhibitory_learning import DisinhibitoryLearning
from neuropil.learning.drawn import learn_from_draws
from neuropil.learning.entropy_minimisation import EntropyMinimisation, adapt, affine_parameters, entropy
from neuropil.learning.evolution import Evolution, EvolutionState, centred_ranks
from neuropil.learning.fit import History, Rule, fit
from neuropil.learning.forward_forward import (
    ForwardForward,
    ForwardForwardLayer,
    ForwardForwardState,
    LabelStrip,
    activities,
    goodness_predict,
    goodness_scores,
)
from neuropil.learning.modulated_fusion import ModulatedFusion
from neuropil.learning.neuromodulated_hebb import NeuromodulatedHebb, fit_of_filters, patches
from neuropil.learning.progress import Bar, progress
from neuropil.learning.recursive_least_squares import RecursiveLeastSquares
from neuropil.learning.relinear import ReLinear
from neuropil.learning.replicas import Replicas
from neuropil.learning.ridge import ridge
from neuropil.learning.supervised_contrastive import supervised_contrastive
from neuropil.learning.synthetic_gradient import SyntheticGradient, taught

__all__ = [
    "Backprop",
    "Bar",
    "CheckpointError",
    "DisinhibitoryLearning",
    "EntropyMinimisation",
    "Evolution",
    "EvolutionState",
    "ForwardForward",
    "ForwardForwardLayer",
    "ForwardForwardState",
    "History",
    "LabelStrip",
    "ModulatedFusion",
    "NeuromodulatedHebb",
    "ReLinear",
    "RecursiveLeastSquares",
    "Replicas",
    "Rule",
    "SyntheticGradient",
    "activities",
    "adapt",
    "affine_parameters",
    "centred_ranks",
    "entropy",
    "fit",
    "fit_of_filters",
    "goodness_predict",
    "goodness_scores",
    "learn_from_draws",
    "load_checkpoint",
    "nt_xent",
    "patches",
    "progress",
    "restore",
    "ridge",
    "save_checkpoint",
    "supervised_contrastive",
    "taught",
]
