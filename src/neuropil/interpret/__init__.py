"""Ways of looking inside a trained or training network, one a file."""

from neuropil.interpret.induction import first_above, induction_strength, plateau_share, previous_token_strength

__all__ = ["first_above", "induction_strength", "plateau_share", "previous_token_strength"]
