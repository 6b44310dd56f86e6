"""Ways of changing structure while learning, one a file."""

from neuropil.growth.density import cubic_density, erk_densities
from neuropil.growth.free_unit_rewiring import rewire_free_units
from neuropil.growth.granet import GraNet, Update, drop_weakest, grow, prune_global
from neuropil.growth.sparse_mask import SparseMask

__all__ = ["GraNet", "SparseMask", "Update", "cubic_density", "drop_weakest", "erk_densities", "grow", "prune_global", "rewire_free_units"]
