"""Cells: neuron models, one a file, the equation written once; state in, state out."""

from neuropil.cells.alif import ALIF
from neuropil.cells.cuba_lif import CubaLIF
from neuropil.cells.echo_unit import EchoUnit
from neuropil.cells.event_unit import EventUnit
from neuropil.cells.exponential_if import ExponentialIF
from neuropil.cells.izhikevich import Izhikevich
from neuropil.cells.leaky_rate import LeakyRate
from neuropil.cells.li import LI
from neuropil.cells.lif import LIF
from neuropil.cells.phase_oscillator import PhaseOscillator
from neuropil.cells.plif import PLIF
from neuropil.cells.quadratic_if import QuadraticIF
from neuropil.cells.refractory_lif import RefractoryLIF
from neuropil.cells.resonate_and_fire import ResonateAndFire

__all__ = [
    "ALIF",
    "LI",
    "LIF",
    "PLIF",
    "CubaLIF",
    "EchoUnit",
    "EventUnit",
    "ExponentialIF",
    "Izhikevich",
    "LeakyRate",
    "PhaseOscillator",
    "QuadraticIF",
    "RefractoryLIF",
    "ResonateAndFire",
]
