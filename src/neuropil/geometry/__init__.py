"""Measures of representation: one a file."""

from neuropil.geometry.ensembles import Ensembles, category_ensembles, hypergeometric_tail, layer_agreement
from neuropil.geometry.hoyer_sparsity import PopulationSparsity, hoyer_sparsity, population_sparsity

__all__ = [
    "Ensembles",
    "PopulationSparsity",
    "category_ensembles",
    "hoyer_sparsity",
    "hypergeometric_tail",
    "layer_agreement",
    "population_sparsity",
]
