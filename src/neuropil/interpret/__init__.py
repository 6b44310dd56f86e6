"""Ways of looking inside a trained or training network, one a file."""

from neuropil.interpret.branching import branching_factor, branching_parameter
from neuropil.interpret.data_copying import authenticity, data_copying, nearest_distance
from neuropil.interpret.induction import first_above, induction_strength, plateau_share, previous_token_strength
from neuropil.interpret.memory_capacity import memory_capacity, memory_curve

__all__ = [
    "authenticity",
    "branching_factor",
    "branching_parameter",
    "data_copying",
    "first_above",
    "induction_strength",
    "memory_capacity",
    "memory_curve",
    "nearest_distance",
    "plateau_share",
    "previous_token_strength",
]
