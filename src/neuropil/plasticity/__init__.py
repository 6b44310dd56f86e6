"""Plasticity: local rules and modulators of learning, one a file."""

from neuropil.plasticity.astrocyte_stdp import AstrocyteSTDP
from neuropil.plasticity.disinhibitory_hebb import DisinhibitoryHebb, inhibition_threshold
from neuropil.plasticity.homeostatic_learning_rate import (
    HomeostaticLearningRate,
    HomeostaticState,
    after_update,
    lookahead,
)
from neuropil.plasticity.inhibitory_homeostasis import InhibitoryHomeostasis
from neuropil.plasticity.inverse_effectiveness import InverseEffectiveness, effectiveness
from neuropil.plasticity.neuromodulator import Neuromodulator
from neuropil.plasticity.oja import Oja
from neuropil.plasticity.soft_hebb import SoftHebb, compete, soft_hebb, turn
from neuropil.plasticity.stdp import STDP
from neuropil.plasticity.three_factor import ThreeFactorHebb

__all__ = [
    "STDP",
    "AstrocyteSTDP",
    "DisinhibitoryHebb",
    "HomeostaticLearningRate",
    "HomeostaticState",
    "InhibitoryHomeostasis",
    "InverseEffectiveness",
    "Neuromodulator",
    "Oja",
    "SoftHebb",
    "ThreeFactorHebb",
    "after_update",
    "compete",
    "effectiveness",
    "inhibition_threshold",
    "lookahead",
    "soft_hebb",
    "turn",
]
