"""Measures of representation: one a file."""

from neuropil.geometry.ensembles import Ensembles, category_ensembles, hypergeometric_tail, layer_agreement
from neuropil.geometry.frechet_distance import frechet_distance
from neuropil.geometry.hoyer_sparsity import PopulationSparsity, hoyer_sparsity, population_sparsity
from neuropil.geometry.object_grouping import cluster_map, foreground_ari
from neuropil.geometry.sparse_matching import false_match, missed_match, union_size
from neuropil.geometry.subspace_angles import subspace_angles

__all__ = [
    "Ensembles",
    "PopulationSparsity",
    "category_ensembles",
    "cluster_map",
    "false_match",
    "foreground_ari",
    "frechet_distance",
    "hoyer_sparsity",
    "hypergeometric_tail",
    "layer_agreement",
    "missed_match",
    "population_sparsity",
    "subspace_angles",
    "union_size",
]
