"""Dynamics: how state evolves in time; cells, surrogate gradients, resets, chains and circuits."""

from neuropil.dynamics.cell import Cell
from neuropil.dynamics.chain import Chain
from neuropil.dynamics.checkpoint import checkpoint_through_time
from neuropil.dynamics.circuit import Circuit, Edge
from neuropil.dynamics.parameter import Decay, check_dt, parameter
from neuropil.dynamics.reset import Reset
from neuropil.dynamics.state import detach, leaves, map_state
from neuropil.dynamics.surrogate import Arctan, FastSigmoid, Sigmoid, Surrogate, Triangular, heaviside, smoothed

__all__ = [
    "Arctan",
    "Cell",
    "Chain",
    "Circuit",
    "Decay",
    "Edge",
    "FastSigmoid",
    "Reset",
    "Sigmoid",
    "Surrogate",
    "Triangular",
    "check_dt",
    "checkpoint_through_time",
    "detach",
    "heaviside",
    "leaves",
    "map_state",
    "parameter",
    "smoothed",
]
