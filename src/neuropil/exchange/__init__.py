"""Exchange: models written for other simulators and chips, and read from them, in the format NIR."""

from neuropil.exchange.membrane import CubaMembrane, Membrane
from neuropil.exchange.plain import Scale, Threshold
from neuropil.exchange.reading import from_nir
from neuropil.exchange.writing import to_nir

__all__ = ["CubaMembrane", "Membrane", "Scale", "Threshold", "from_nir", "to_nir"]
