"""The atlas: claims as registered contrasts, run, judged and shown. It knows no family of parts and loads no torch."""

from neuropil.atlas.contrast import Contrast, Match, Metric, contrasts
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.evidence import Dose, Gate, Lesion, Off
from neuropil.atlas.outcome import Curve, Matrix, Table
from neuropil.atlas.seeds import Seed
from neuropil.atlas.space import Grid, Tune
from neuropil.atlas.study import Settings, Study

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
