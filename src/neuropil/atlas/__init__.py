"""The atlas: claims as registered contrasts, run, judged and shown. It knows no family of parts and loads no torch."""

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.outcome import Curve, Matrix, Table
from neuropil.atlas.seeds import Seed
from neuropil.atlas.study import (
    Contrast,
    Dose,
    Gate,
    Grid,
    Lesion,
    Match,
    Metric,
    Off,
    Settings,
    Study,
    Tune,
    contrasts,
)

__all__ = [
    "AtlasError",
    "Contrast",
    "Curve",
    "Dose",
    "Gate",
    "Grid",
    "Lesion",
    "Match",
    "Matrix",
    "Metric",
    "Off",
    "Seed",
    "Settings",
    "Study",
    "Table",
    "Tune",
    "contrasts",
]
