"""Plasticity: local rules and modulators of learning, one a file."""

from neuropil.plasticity.homeostatic_learning_rate import (
    HomeostaticLearningRate,
    HomeostaticState,
    after_update,
    lookahead,
)
from neuropil.plasticity.inhibitory_homeostasis import InhibitoryHomeostasis
from neuropil.plasticity.oja import Oja
from neuropil.plasticity.stdp import STDP

__all__ = ["STDP", "HomeostaticLearningRate", "HomeostaticState", "InhibitoryHomeostasis", "Oja", "after_update", "lookahead"]
