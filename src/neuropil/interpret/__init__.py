"""Ways of looking inside a trained or training network, one a file."""

from neuropil.interpret.induction import first_above, induction_strength, plateau_share, previous_token_strength
from neuropil.interpret.memory_capacity import memory_capacity, memory_curve

__all__ = ["first_above", "induction_strength", "memory_capacity", "memory_curve", "plateau_share", "previous_token_strength"]
