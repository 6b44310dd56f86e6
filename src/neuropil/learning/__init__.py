"""Ways of assigning credit, and the loop that applies them."""

from neuropil.learning.backprop import Backprop
from neuropil.learning.checkpoint import CheckpointError, load_checkpoint, restore, save_checkpoint
from neuropil.learning.contrastive import nt_xent
from neuropil.learning.disinhibitory_learning import DisinhibitoryLearning
from neuropil.learning.drawn import learn_from_draws
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
from neuropil.learning.progress import Bar, progress
from neuropil.learning.relinear import ReLinear
from neuropil.learning.replicas import Replicas
from neuropil.learning.ridge import ridge

__all__ = [
    "Backprop",
    "Bar",
    "CheckpointError",
    "DisinhibitoryLearning",
    "Evolution",
    "EvolutionState",
    "ForwardForward",
    "ForwardForwardLayer",
    "ForwardForwardState",
    "History",
    "LabelStrip",
    "ReLinear",
    "Replicas",
    "Rule",
    "activities",
    "centred_ranks",
    "fit",
    "goodness_predict",
    "goodness_scores",
    "learn_from_draws",
    "load_checkpoint",
    "nt_xent",
    "progress",
    "restore",
    "ridge",
    "save_checkpoint",
]
