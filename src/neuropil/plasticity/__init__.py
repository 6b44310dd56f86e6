"""Plasticity: local rules and modulators of learning, one a file."""

from neuropil.plasticity.homeostatic_learning_rate import (
    HomeostaticLearningRate,
    HomeostaticState,
    after_update,
    lookahead,
)

__all__ = ["HomeostaticLearningRate", "HomeostaticState", "after_update", "lookahead"]
